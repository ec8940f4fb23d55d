"""The commands that run a flow: publish, integrate, release, approve, rollback, prune, reconcile."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tandem.cli import recorded
from tandem.cli.arguments import AnyApp, App, Environment, known, option, person, place
from tandem.errors import UsageError

if TYPE_CHECKING:
    from tandem.settings import Settings


def publish(
    app: App,
    directory: Annotated[Path, typer.Argument(help="A folder with the model's files.", show_default=False)],
) -> None:
    """Store a folder's files as the newest model.

    Example: tandem publish digits build/model
    """
    if not directory.is_dir():
        raise UsageError(f"{directory} is no folder: name the folder that holds the model's files")
    model = _flow("publish", known(app), directory=str(directory.resolve()), by=person())
    typer.echo(f"{model.name} {model.version}")


def integrate(
    app: App,
    commit: Annotated[str, typer.Option(metavar="REF", help="A commit, branch or tag.")] = "HEAD",
    model: Annotated[str, typer.Option(metavar="VERSION", help="A model version, or the beginning of one.")] = "newest",
) -> None:
    """Turn a commit and a model into a tested image.

    Does nothing where that image exists.

    Example: tandem integrate digits --commit main
    """
    candidate = _flow("integrate", known(app), commit=commit, model=model)
    typer.echo(f"{candidate.tag} {candidate.digest}")


def release(
    app: App,
    environment: Environment,
    candidate: Annotated[str, typer.Option(metavar="TAG", help="A candidate's tag.")] = "newest",
    dry_run: Annotated[bool, option(help="Say what would be released, and change nothing.")] = False,
    despite_freeze: Annotated[str, option(metavar="TEXT", help="Why it cannot wait for the end of a freeze.")] = "",
) -> None:
    """Bring a candidate into an environment.

    Verifies it from outside, and goes back to what ran before where it fails.

    Example: tandem release digits local
    """
    settings = known(app, environment)
    wish = {"candidate": candidate, "dry_run": dry_run, "despite_freeze": despite_freeze}
    done = _flow("release", settings, environment=environment, **wish)
    if done:
        typer.echo(_runs(settings, environment, done))
    elif not dry_run:
        typer.echo("nothing was released: the last line above says why")


def approve(
    app: App,
    environment: Environment,
    candidate: Annotated[str, typer.Argument(help="A candidate's tag.", show_default=False)],
    note: Annotated[str, option(help="A word on why.")] = "",
) -> None:
    """Let a candidate into an environment.

    For environments that ask for approval; releases it there.

    Example: tandem approve digits production 3f2a91c04b7e-9d1e00aa12cd-5b6c7d8e --note "metrics checked"
    """
    settings = known(app, environment)
    done = _flow("approve", settings, environment=environment, candidate=candidate, by=person(), note=note)
    typer.echo(_runs(settings, environment, done) if done else f"{candidate} is approved for {environment}")


def rollback(
    app: App,
    environment: Environment,
    to: Annotated[str, typer.Option(metavar="TAG", help="A candidate that was good there.")] = "previous",
    why: Annotated[str, option(help="The reason, for whoever asks later.")] = "",
) -> None:
    """Bring back what an environment ran before.

    Example: tandem rollback digits local --why "wrong answers for 4"
    """
    settings = known(app, environment)
    reason = {"why": why} if why else {}
    done = _flow("rollback", settings, environment=environment, to=to, by=person(), **reason)
    typer.echo(_runs(settings, environment, done))


def prune(
    app: App,
    dry_run: Annotated[bool, option(help="Say what would be removed, and remove nothing.")] = False,
    keep: Annotated[
        int, option(min=1, metavar="NUMBER", help="How many of the newest stay, whatever the environments say.")
    ] = 10,
) -> None:
    """Remove candidates that nothing needs.

    What an environment runs, may go back to, or was promised stays.

    Example: tandem prune digits --dry-run
    """
    tags = _flow("prune", known(app), dry_run=dry_run, keep=keep)
    typer.echo("\n".join(tags) or "nothing to remove")


def reconcile(app: AnyApp = "") -> None:
    """Start what is missing, end what is half done.

    Example: tandem reconcile
    """
    recorded.run(place(app), "tandem.flows.reconcile", app=app)


def _runs(settings: "Settings", environment: str, done: Any) -> str:
    """What runs now and where it answers."""
    address = recorded.operations(settings.root).address(settings, environment)
    return f"{done.candidate.tag} runs in {environment}{f' at {address}' if address else ''}"


def _flow(name: str, settings: "Settings", **parameters: object) -> Any:
    return recorded.run(settings.root, f"tandem.flows.{name}", app=settings.app, **parameters)
