"""The commands that only look: status, candidates."""

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

import typer

from tandem.cli.arguments import AnyApp, App, Json, chosen, known
from tandem.cli.recorded import operations


def status(app: AnyApp = "", as_json: Json = False) -> None:
    """What each environment runs and blocks.

    Example: tandem status digits
    """
    ops = operations(chosen(app)[0].root)
    _print(ops.status(app or None), as_json, _status)


def candidates(app: App, as_json: Json = False) -> None:
    """The tested images of an app, newest first.

    Example: tandem candidates digits --json
    """
    ops = operations(known(app).root)
    found = ops.candidates(app)
    _print(found, as_json, _candidate)
    if not found:
        typer.echo(f"no candidates yet: 'tandem integrate {app}' makes the first", err=True)


def _print(records: Sequence[Any], as_json: bool, lines: Callable[[Any], Iterator[str]]) -> None:
    """The records as JSON, or each as the lines that a person reads."""
    if as_json:
        from tandem.documents import dump

        typer.echo(json.dumps([json.loads(dump(record)) for record in records], indent=2, ensure_ascii=False))
        return
    for record in records:
        for line in lines(record):
            typer.echo(line)


def _status(status: Any) -> Iterator[str]:
    yield f"{status.app}{f': {status.trouble}' if status.trouble else ''}"
    for each in status.environments:
        state = each.state
        if state is None:
            yield f"  {each.environment}: cannot be asked: {each.trouble}"
            continue
        current = state.current
        # what is recorded and what the platform says runs are two things after a kill or a stop
        if current is None:
            says = "nothing was released yet"
        elif current.candidate.digest in each.digests:
            says = f"runs {current.candidate.tag} at {each.address}, since {_time(current.ended or current.began)}"
        else:
            says = f"should run {current.candidate.tag} and does not ('tandem up' starts it on this machine)"
        yield f"  {each.environment}: {says}"
        if state.under_way:
            yield f"    under way: {state.under_way.release.candidate.tag}, at the step {state.under_way.step!r}"
        for block in state.blocks:
            parts = {"commit": block.commit, "model": block.model}
            what = " with ".join(f"{name} {value[:12]}" for name, value in parts.items() if value)
            yield f"    blocked: {what}, since {_time(block.since)}: {block.why}"


def _candidate(card: Any) -> Iterator[str]:
    runs = f"  runs in {', '.join(card.environments)}" if card.environments else ""
    yield f"{card.candidate.tag}  {card.committed[:16]}  {card.size / 1e6:,.0f} MB{runs}"
    for line in card.blocked:
        yield f"    blocked in {line}"


def _time(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M")
