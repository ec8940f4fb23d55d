"""The commands that only look: status, candidates."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import typer

from tandem.cli.arguments import AnyApp, App, Json, known, place
from tandem.cli.recorded import operations
from tandem.errors import TandemError


def status(app: AnyApp = "", as_json: Json = False) -> None:
    """What each environment runs and blocks, what it waits for, and what reconcile met last.

    Example: tandem status digits
    """
    ops = operations(place(app))
    found = ops.status(app or None)
    met = _reconciled([each.app for each in found])
    _print([replace(each, reconcile=tuple(met[each.app])) for each in found], as_json, _status)


def _reconciled(apps: Sequence[str]) -> dict[str, list[str]]:
    """What the last reconcile of each app met, as Prefect's server knows it; nothing where no server is named."""
    from tandem.triggers import runs
    from tandem.triggers.api import NoServer, connect

    try:
        last = runs.ended("reconcile", connect(patience=3))
    except NoServer:
        return {app: [] for app in apps}
    except TandemError as trouble:
        return {app: [f"unknown: {trouble}"] for app in apps}
    return {app: _met(app, next((run for run in last if run.parameters.get("app") in ("", app)), None)) for app in apps}


def _met(app: str, run: Any) -> list[str]:
    if run is None:
        return ["has not ended on this server yet: 'tandem up' starts it every minute"]
    when = f"at {_time(run.ended)}" if run.ended else ""
    if run.state == "CRASHED":
        return [f"{when}: it crashed: {run.message}"]
    said = run.message.partition("TandemError: ")[2] if run.state == "FAILED" else ""
    if run.state == "FAILED" and not said:
        return [f"{when}: {run.message}"]
    return [f"{when}: {line}" for line in said.splitlines() if line.startswith((f"{app}: ", f"{app} in "))]


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
    for line in status.reconcile:
        yield f"  reconcile {line}"
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
        if each.frozen:
            yield f"    {each.frozen}"
        if state.asked:
            question = state.asked.candidate.tag
            yield f"    asks since {_time(state.asked.at)}: tandem approve {status.app} {each.environment} {question}"
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
