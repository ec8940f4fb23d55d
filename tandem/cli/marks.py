"""The commands that mark what may come: block, unblock; and what is Tandem's: adopt."""

import typer

from tandem.cli.arguments import App, Environment, What, Why, known, person
from tandem.cli.recorded import operations


def block(app: App, environment: Environment, what: What, why: Why) -> None:
    """Keep a commit, model or pair out.

    Until it is unblocked, it does not come into this environment.

    Example: tandem block digits production 9d1e00aa12cd --why "trained on the wrong split"
    """
    ops = operations(known(app, environment).root)
    typer.echo(f"{environment}: blocked {ops.block(app, environment, what, why, person())}")


def unblock(app: App, environment: Environment, what: What, why: Why) -> None:
    """Let what was blocked come again.

    Example: tandem unblock digits production 9d1e00aa12cd --why "the split was right"
    """
    ops = operations(known(app, environment).root)
    typer.echo(f"{environment}: unblocked {ops.unblock(app, environment, what, why, person())}")


def adopt(app: App, environment: Environment) -> None:
    """Take over, once, the Kubernetes objects that kubectl or Helm made: from then on releases apply them.

    Only those that the app's YAML names at the newest commit; nothing that runs is changed by it.

    Example: tandem adopt digits staging
    """
    taken = operations(known(app, environment).root).adopt(app, environment)
    typer.echo("\n".join(f"{environment}: {line}" for line in taken) or f"{environment}: nothing to take over")
