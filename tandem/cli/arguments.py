"""Arguments that several commands take, and what a shell completes them with."""

import getpass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tandem.errors import TandemError, UsageError

if TYPE_CHECKING:  # pydantic costs a third of a second, which --help need not pay
    from pathlib import Path

    from tandem.settings import Settings


def _apps(incomplete: str) -> list[str]:
    from tandem.settings import apps, find_root

    try:
        return [name for name in apps(find_root()) if name.startswith(incomplete)]
    except TandemError:
        return []


def _environments(context: typer.Context, incomplete: str) -> list[str]:
    from tandem.settings import Settings

    try:
        names = Settings.load(str(context.params.get("app"))).toml.environments
        return [name for name in names if name.startswith(incomplete)]
    except TandemError:
        return []


App = Annotated[str, typer.Argument(help="An app: a folder in deployments/.", autocompletion=_apps, show_default=False)]
AnyApp = Annotated[
    str, typer.Argument(help="An app; every app where it is left out.", autocompletion=_apps, show_default=False)
]
Environment = Annotated[
    str,
    typer.Argument(help="One of the app's environments in app.toml.", autocompletion=_environments, show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
What = Annotated[
    str,
    typer.Argument(
        metavar="WHAT",
        help="A commit, a model version, or a candidate's tag for the pair of both.",
        show_default=False,
    ),
]
Why = Annotated[str, typer.Option("--why", help="The reason, for whoever asks later.", show_default=False)]


def known(app: str, environment: str | None = None) -> "Settings":
    """The app's settings, and the environment there; raises SettingsError that lists what there is."""
    from tandem.settings import Settings

    settings = Settings.load(app)
    if environment is not None:
        settings.environment(environment)
    return settings


def chosen(app: str) -> "list[Settings]":
    """The named app's settings, or every app's; raises UsageError where there is none."""
    from tandem.settings import Settings, apps, find_root

    root = find_root()
    names = [app] if app else apps(root)
    if not names:
        raise UsageError(f"no app in {root / 'deployments'}: 'tandem init' writes an app folder")
    return [Settings.load(name, root) for name in names]


def loadable() -> "list[Settings]":
    """Every app's settings, without those that are wrong just now: for what must go on whatever a person writes."""
    from tandem.settings import Settings, apps, find_root

    root, found = find_root(), []
    for name in apps(root):
        try:
            found.append(Settings.load(name, root))
        except TandemError as trouble:
            typer.echo(f"{name}: left out: {trouble}")
    return found


def place(app: str) -> "Path":
    """The root: of the named app, whose settings must be right, or of every app, be some app.toml wrong or not."""
    from tandem.settings import apps, find_root

    root = find_root()
    if app or not apps(root):
        chosen(app)
    return root


def person() -> str:
    """Who sits here, as the machine says."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user id without a name
        return ""


def option(**words: Any) -> Any:
    """An option whose default is not worth a line of help."""
    return typer.Option(show_default=False, **words)
