"""Late rather than twice: after an outage the newest run of a schedule that is due does the work of all of them."""

from collections.abc import Iterable
from datetime import datetime

from prefect import runtime

from tandem.triggers import runs
from tandem.triggers.runs import Run


def overtaken(now: datetime) -> str:
    """Why this run of a schedule has nothing to do any more: a later run of the same schedule is due too; else ""."""
    mine = runs.read(str(runtime.flow_run.id)) if runtime.flow_run.id else None
    if mine is None or mine.deployment is None or not mine.scheduled or mine.due is None:
        return ""
    newest = newest_due([mine, *runs.due(mine.deployment, mine.due, now)], now)
    if newest.id == mine.id:
        return ""
    return f"nothing to release: run {newest.name}, due at {newest.due:%Y-%m-%d %H:%M} UTC, is for that night and this"


def newest_due(of_one_deployment: Iterable[Run], now: datetime) -> Run:
    """Of the runs that a schedule asked for, the last one whose time has come."""
    return max((run for run in of_one_deployment if run.scheduled and run.due and run.due <= now), key=_due)


def _due(run: Run) -> str:
    return f"{run.due:%Y%m%d%H%M%S} {run.id}"
