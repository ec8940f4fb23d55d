"""Runs that Prefect's server believes in and whose process is gone: ended, or given back, as soon as they are seen.

For a pool whose only worker is on this machine. Prefect's own sign is the silence after a heartbeat, which takes
minutes; here the process is looked for.
"""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tandem.triggers import runs
from tandem.triggers.api import Api

VARIABLE = "PREFECT__FLOW_RUN_ID="
PROGRAMS = ("tandem/triggers/launch.py", "prefect.engine", "prefect.flow_engine")
DEAF = timedelta(seconds=60)  # Prefect's worker gives a cancelled run 30 s


def living() -> dict[str, int]:
    """The process of each flow run on this machine, by the run's id. What a run started is not the run."""
    found = {}
    for pid, command, words in _processes():
        if any(program in command for program in PROGRAMS):
            for word in words:
                if word.startswith(VARIABLE):
                    found[word.removeprefix(VARIABLE)] = pid
    return found


def _processes() -> Iterator[tuple[int, str, list[str]]]:
    if Path("/proc/self/environ").exists():
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                with suppress(OSError):
                    command = (folder / "cmdline").read_text(errors="replace").replace("\0", " ")
                    if any(program in command for program in PROGRAMS):
                        yield int(folder.name), command, (folder / "environ").read_text(errors="replace").split("\0")
        return
    listed = subprocess.run(["ps", "eww", "-ax", "-o", "pid=,command="], capture_output=True, text=True, check=False)
    for line in listed.stdout.splitlines():
        pid, _, words = line.strip().partition(" ")
        yield int(pid), words, words.split()


def end(pool: str, api: Api, first: bool, now: datetime | None = None) -> list[str]:
    """What was done about the pool's runs that nobody runs, a line each.

    Running ones have crashed, cancelled ones are cancelled. At a worker's start (`first`), those that the one before
    it had only taken are given back. One that does not end within a minute of being cancelled is killed.
    """
    said, now = [], now or datetime.now(UTC)
    for state in ("RUNNING", "CANCELLING", *(["PENDING"] if first else [])):
        believed = _runs(pool, state, api)  # asked first: a run that ends just now has told the server
        alive = living() if believed else {}
        for run_id, document in believed.items():
            if run_id in alive:
                if state == "CANCELLING" and now - _since(document) > DEAF:
                    with suppress(ProcessLookupError):
                        os.kill(alive[run_id], signal.SIGKILL)
                    said.append(f"run {run_id}: killed, it did not end within {DEAF.seconds} s of being cancelled")
                continue
            again = runs.read(run_id, api)
            if again is None or again.state != state:
                continue
            said.append(f"run {run_id}: {_settle(run_id, state, api)}")
    return said


def _settle(run_id: str, state: str, api: Api) -> str:
    if state == "RUNNING":
        runs.crashed(run_id, "Its process is gone.", api)
        return "its process is gone, marked as crashed"
    kind, name, why = {
        "CANCELLING": ("CANCELLED", "Cancelled", "its process is gone, cancelled"),
        "PENDING": ("SCHEDULED", "Scheduled", "the worker that had taken it is gone, given back"),
    }[state]
    body = {"state": {"type": kind, "name": name, "message": f"{why[0].upper()}{why[1:]}."}, "force": True}
    api.post(f"flow_runs/{run_id}/set_state", body)
    return why


def _runs(pool: str, state: str, api: Api) -> dict[str, Mapping[str, object]]:
    query = {"work_pools": {"name": {"any_": [pool]}}, "flow_runs": {"state": {"type": {"any_": [state]}}}}
    found = api.post("flow_runs/filter", query)
    return {str(each["id"]): each for each in found if isinstance(each, Mapping)} if isinstance(found, list) else {}


def _since(document: Mapping[str, object]) -> datetime:
    state = document.get("state")
    moment = state.get("timestamp") if isinstance(state, Mapping) else None
    return datetime.fromisoformat(str(moment).replace("Z", "+00:00")) if moment else datetime.now(UTC)
