"""Late rather than twice: after an outage the newest run of a schedule that is due does the work of all of them."""

from datetime import datetime

from prefect import runtime

from tandem.triggers import runs


def overtaken(now: datetime) -> str:
    """Why this run of a schedule has nothing to do any more: a later run of the same schedule is due too; else ""."""
    mine = runs.read(str(runtime.flow_run.id)) if runtime.flow_run.id else None
    if mine is None or mine.deployment is None or not mine.scheduled or mine.due is None:
        return ""
    later = [run for run in runs.due(mine.deployment, mine.due, now) if run.scheduled and run.id != mine.id]
    if not later:
        return ""
    newest = max(later, key=lambda run: str(run.due))
    return f"nothing to release: run {newest.name}, due at {newest.due:%Y-%m-%d %H:%M} UTC, is for that night and this"
