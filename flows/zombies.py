"""Runs whose process is gone: they are said to have crashed, so that nobody waits for them and their slots are free."""

from datetime import datetime, timedelta

from prefect import get_run_logger

from tandem.triggers import runs
from tandem.triggers.api import connect
from tandem.triggers.runs import SILENCE, Run

from .stages import stage

FLOWS = ("integrate", "release", "rollback", "approve", "publish", "prune")
BEGUN = ("RUNNING", "PENDING", "CANCELLING")
STUCK = timedelta(minutes=15)  # between a worker's claim and the first line, and for ending what was cancelled


@stage("free zombie runs", network=True)
def living(now: datetime) -> tuple[Run, ...]:
    """The runs of the line that have begun and live; those that do not are marked as crashed.

    Prefect's automation does the same within 90 s of the last heartbeat, where it is installed and the server lived.
    """
    api = connect()
    alive = []
    for run in [run for flow in FLOWS for run in runs.in_states(flow, BEGUN, api)]:
        heard = runs.last_heartbeat(run.id, api) if run.state == "RUNNING" else None
        if why := dead(run, heard, now):
            get_run_logger().warning("%s %s crashed: %s", run.flow, run.name, why)
            runs.crashed(run.id, why, api)
        elif heard or run.began is None or now - run.began < STUCK:
            alive.append(run)
    return tuple(alive)


def dead(run: Run, heard: datetime | None, now: datetime) -> str:
    """Why nothing will come of a run that has begun and was `heard` of last then; "" where something may.

    One that never sent a heartbeat, of no deployment, may be somebody's own process without heartbeats.
    """
    if run.state != "RUNNING":
        waits = run.since is not None and now - run.since > STUCK
        return f"it has been {run.state} since {run.since:%H:%M:%S} UTC: its worker is gone" if waits else ""
    heard = heard or (run.began if run.deployment else None)
    if heard is None or now - heard < SILENCE:
        return ""
    return f"nothing was heard of it since {heard:%H:%M:%S} UTC: its process is gone"
