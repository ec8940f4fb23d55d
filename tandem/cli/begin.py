"""The commands that set up and look over: init, check."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from tandem.cli.arguments import AnyApp, Json, option


def init(
    app: Annotated[str, typer.Option(metavar="NAME", help="The app's name; default: the folder's.")] = "",
    yes: Annotated[bool, option(help="Ask nothing, and write.")] = False,
    lock: Annotated[
        bool, option(help="Lock the requirements by hashes, for images that are the same bit for bit.")
    ] = False,
) -> None:
    """Write the app folder and prefect.yaml.

    Looks at the repository it is run in, without running anything of it; never overwrites a file.

    Example: tandem init --app shop
    """
    from tandem.cli import found

    talk = sys.stdin.isatty() and not yes
    found.write(Path.cwd(), app, lock, typer.confirm if talk else None, typer.echo)


def check(app: AnyApp = "", as_json: Json = False) -> None:
    """Look over everything that needs no change.

    Example: tandem check digits
    """
    from tandem.cli import checks
    from tandem.errors import UsageError
    from tandem.settings import apps, find_root

    root = find_root()
    if app and app not in apps(root):
        raise UsageError(f"no app {app!r} in {root / 'deployments'} (apps: {', '.join(apps(root)) or 'none'})")
    made = []
    for each in checks.everything(root, [app] if app else []):
        made.append(each)
        if not as_json:
            mark = {True: "✓", False: "✗", None: "·"}[each.fine]
            typer.echo(f"{mark} {' '.join(filter(None, (each.app, each.what)))}: {each.says}")
    if as_json:
        typer.echo(json.dumps([asdict(each) for each in made], indent=2, ensure_ascii=False))
    if any(each.fine is False for each in made):
        raise typer.Exit(1)
