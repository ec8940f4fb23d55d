"""The commands that only look: status, candidates."""

import json
from collections.abc import Sequence

import typer

from tandem.cli.arguments import AnyApp, App, Json, chosen, known
from tandem.cli.recorded import operations


def status(app: AnyApp = "", as_json: Json = False) -> None:
    """What each environment runs and blocks.

    Example: tandem status digits
    """
    ops = operations(chosen(app)[0].root)
    _show(ops.status(app or None), as_json)


def candidates(app: App, as_json: Json = False) -> None:
    """The tested images of an app, newest first.

    Example: tandem candidates digits --json
    """
    ops = operations(known(app).root)
    _show(ops.candidates(app), as_json)


def _show(records: Sequence[object], as_json: bool) -> None:
    if as_json:
        from tandem.documents import dump

        typer.echo(json.dumps([json.loads(dump(record)) for record in records], indent=2, ensure_ascii=False))
        return
    for record in records:
        typer.echo(str(record))
