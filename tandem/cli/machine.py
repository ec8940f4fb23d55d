"""The commands for this machine's own Prefect server and worker: up, down."""

from typing import Annotated

import typer

from tandem.cli.arguments import chosen, loadable, option


def up(
    foreground: Annotated[bool, option(help="Stay, for systemd; all ends with it.")] = False,
) -> None:
    """Start Prefect's server and a worker here, and keep them running.

    Applies prefect.yaml; finds and keeps what runs already; starts again what dies.

    Example: tandem up
    """
    from tandem.cli import up as machine
    from tandem.cli.holders import resume_all
    from tandem.settings import find_root

    root = find_root()
    bring_up = machine.unwatched if foreground else machine.up
    everything = loadable() if foreground else chosen("")  # nobody is there to correct it: the other apps go on
    server = bring_up(root, everything, typer.echo)
    resume_all(everything, typer.echo)
    end = "Ctrl-C" if foreground else "tandem down"
    typer.echo(f"pages: {server.page}/deployments · logs: {root / '.tandem' / 'log'} · end: {end}")
    if foreground:
        machine.supervise(root, server)


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
