"""The command that tries out who hears of things: say."""

from importlib import import_module
from typing import Annotated, Any

import typer

from tandem.cli import environment
from tandem.cli.arguments import App, known
from tandem.errors import UsageError


def say(
    app: App, text: Annotated[str, typer.Argument(help="What to say.", show_default=False)] = "Can you read this?"
) -> None:
    """Send a text to everybody in [messages].

    Shows whether it arrives, before there is anything to tell.

    Example: tandem say digits "Hello from Tandem"
    """
    settings = known(app)
    if not settings.toml.messages.to:
        raise UsageError(f"{app} tells nobody: name receivers in [messages] to, in deployments/{app}/app.toml")
    environment.prepare(settings.root)
    deliver: Any = import_module("tandem.flows.deliver")
    message: Any = import_module("tandem.messages.message")
    sent = deliver.send(settings, message.Message("approval wanted", f"{app}: a word from Tandem", text))
    for name in sent.told:
        typer.echo(f"✓ {name}")
    for name, why in sent.troubles.items():
        typer.echo(f"✗ {name}: {why}")
    if sent.troubles:
        raise typer.Exit(1)
