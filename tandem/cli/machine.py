"""The commands for this machine's own Prefect server and worker: up, down."""

from typing import Annotated

import typer

from tandem.cli.arguments import chosen, option


def up() -> None:
    """Start Prefect's server and a worker here.

    Applies prefect.yaml; finds and keeps what runs already.

    Example: tandem up
    """
    from tandem.cli import up as machine
    from tandem.cli.holders import resume_all
    from tandem.settings import find_root

    root = find_root()
    server = machine.up(root, everything := chosen(""), typer.echo)
    resume_all(everything, typer.echo)
    typer.echo(f"pages: {server.page}/deployments · logs: {root / '.tandem' / 'logs'} · end: tandem down")


def down(
    everything: Annotated[bool, option(help="Also end the apps that process: and docker: environments run.")] = False,
) -> None:
    """End what 'tandem up' started.

    The released apps go on answering.

    Example: tandem down
    """
    from tandem.cli import up as machine
    from tandem.settings import apps, find_root

    root = find_root()
    machine.down(root, typer.echo)
    if everything:
        from tandem.cli.holders import end_all

        end_all(root, apps(root), typer.echo)
