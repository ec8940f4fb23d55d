"""The command that takes webhooks: receive."""

import os
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tandem.triggers.api import Api


def receive(
    host: Annotated[str, typer.Option(help="The address to listen at; 0.0.0.0 for every one.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port; 0 for a free one.", min=0, max=65535)] = 4280,
) -> None:
    """Take webhooks, in the foreground.

    A verified hook starts its app's reconcile. Ends on Ctrl-C.

    Example: tandem receive --host 0.0.0.0
    """
    from tandem.cli import environment
    from tandem.settings import find_root
    from tandem.triggers.api import connect
    from tandem.triggers.receive import receive as run

    root = find_root()

    def api() -> "Api":
        """The server as it is now: 'tandem up' may have started another since."""
        found = environment.server(root)
        return connect(os.environ | ({"PREFECT_API_URL": found.url} if found else {}), patience=1)

    run(root, host, port, api)
