"""The commands that mark what must not come again: block, unblock."""

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
