"""The commands of Tandem's own pods (deployments/server): tandem service root, migrate, prepare."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from tandem.cli.arguments import option
from tandem.errors import SettingsError, TandemError

EVERY = 60.0  # seconds between two looks at the root repository

service = typer.Typer(
    name="service",
    help="What Tandem's own pods run: docs/run-on-kubernetes.md.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Follow = Annotated[bool, option(help="Go on, and look for new commits each minute.")]


@service.command()
def root(follow: Follow = False) -> None:
    """Bring the root repository into TANDEM_ROOT.

    TANDEM_ROOT_REPOSITORY, TANDEM_ROOT_BRANCH and TANDEM_ROOT_TOKEN name it.
    """
    _look(follow, lambda: None)


@service.command()
def migrate() -> None:
    """Bring Prefect's database to this version, once it answers; one process at a time."""
    import asyncio

    from tandem.cli.migrate import migrate as bring

    asyncio.run(bring(os.environ.get("PREFECT_SERVER_DATABASE_CONNECTION_URL", ""), typer.echo))


@service.command()
def prepare(
    follow: Follow = False,
    type_: Annotated[str, typer.Option("--type", metavar="TYPE", help="The work pool's type.")] = "kubernetes",
    template: Annotated[str, typer.Option(metavar="FILE", help="The base job template.")] = "/etc/tandem/job.yaml",
) -> None:
    """Apply work pool, queues, limits, automations and prefect.yaml of the root repository."""
    _look(follow, lambda: _prepare(type_, Path(template)))


def _look(follow: bool, then: Callable[[], None]) -> None:
    """Bring the root repository in, and do the rest where it is another commit than before; with `follow`, for good."""
    from tandem.cli.root import RootRepository

    repository = RootRepository.named(os.environ)
    noted = repository.folder / ".tandem" / "brought"  # by the init container of the same pod
    before = noted.read_text() if follow and noted.exists() else ""
    while True:
        try:
            if (now := repository.bring()) != before:
                typer.echo(f"{repository.folder} is at {now[:12]} of {repository.branch}")
                then()
                before = now
                noted.parent.mkdir(exist_ok=True)
                noted.write_text(now)
        except TandemError as error:
            if not follow:
                raise
            typer.echo(f"{type(error).__name__}: {error}", err=True)  # and again in a minute
        if not follow:
            return
        time.sleep(EVERY)


def _prepare(type_: str, template: Path) -> None:
    from tandem.cli import prepare as server
    from tandem.settings import Settings, apps, find_root
    from tandem.triggers.api import connect

    folder, everything = find_root(), []
    for name in apps(folder):
        try:
            everything.append(Settings.load(name, folder))
        except TandemError as error:  # one app's trouble is not the others'
            typer.echo(f"{name}: {error}", err=True)
    wanted = server.read_template(template, type_, {"TANDEM_IMAGE": _image(), "TANDEM_NAMESPACE": _namespace()})
    server.prepare(folder, everything, connect(patience=300), wanted, typer.echo)


def _namespace() -> str:
    return os.environ.get("TANDEM_NAMESPACE", "default")


def _image() -> str:
    """The image that this pod was given: its runs get the same."""
    if named := os.environ.get("TANDEM_IMAGE"):
        return named
    from tandem.targets.kubernetes.connect import connect
    from tandem.targets.kubernetes.objects import Ref

    pod = os.environ.get("TANDEM_POD")
    if not pod:
        raise SettingsError("TANDEM_IMAGE must name the image of runs, or TANDEM_POD and TANDEM_NAMESPACE this pod")
    found = connect(f"kubernetes://in-cluster/{_namespace()}").get(Ref("v1", "Pod", pod))
    if found is None:
        raise SettingsError(
            f"no pod {pod} in namespace {_namespace()}: TANDEM_POD and TANDEM_NAMESPACE must name this one"
        )
    return str(found["spec"]["containers"][0]["image"])
