"""From asking for a run to its flow's first line, with Tandem's worker and with Prefect's own, in turn.

`python benchmarks/hint_to_run.py --rounds 30`: one Prefect server on SQLite; a pool for each worker; each round asks
each pool for one run, at a moment that no poll knows. The first line's time is the one in Prefect's log.
"""

import argparse
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from statistics import median

import httpx

from tandem.cli.parts import WARM
from tandem.triggers import runs
from tandem.triggers.api import Api, connect

HERE = Path(__file__).parent
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Kind:
    """One kind of worker on its pool, and what was measured of it. Seconds; kB."""

    name: str
    label: str
    argv: list[str]
    seconds: str
    deployment: str = ""
    process: subprocess.Popen[bytes] | None = None
    took: list[float] = field(default_factory=list)
    private: list[int] = field(default_factory=list)


def kinds(folder: Path) -> list[Kind]:
    """Tandem's and Prefect's, the latter as it comes and asking as often as ours."""
    prefect = [sys.executable, "-m", "prefect", "worker", "start", "--type", "process", "--pool"]
    ours = [sys.executable, "-m", "tandem.triggers.warm", "--name", "ours", "--register", str(folder), "--pool", "ours"]
    return [
        Kind("ours", "Tandem's worker", [*ours, *WARM], "1"),
        Kind("each-second", "`prefect worker start`, every second", [*prefect, "each-second"], "1"),
        Kind("default", "`prefect worker start`, as it comes", [*prefect, "default"], "10"),
    ]


@contextmanager
def processes(folder: Path, every: list[Kind]) -> Iterator[tuple[Api, subprocess.Popen[bytes]]]:
    """The server and the workers, until the end of this."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    url = f"http://127.0.0.1:{port}/api"
    env = os.environ | {"PREFECT_HOME": str(folder), "PREFECT_API_URL": url, "PYTHONPATH": str(HERE)}
    env |= {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}
    started: list[subprocess.Popen[bytes]] = []

    def start(argv: list[str], **more: str) -> subprocess.Popen[bytes]:
        with (folder / "log").open("ab") as log:
            started.append(subprocess.Popen(argv, env=env | more, stdout=log, stderr=log, start_new_session=True))
        return started[-1]

    try:
        server = start([sys.executable, "-m", "tandem.cli.prefect_server", "start", "--port", str(port)])
        until(lambda: answers(f"{url}/health"), "the server")
        api = connect({"PREFECT_API_URL": url})
        flow = api.post("flows/", {"name": "hinted"})["id"]
        for kind in every:
            api.post("work_pools/", {"name": kind.name, "type": "process"})
            body = {"name": kind.name, "flow_id": flow, "entrypoint": "hinted.hinted", "work_pool_name": kind.name}
            kind.deployment = api.post("deployments/", body | {"pull_steps": []})["id"]
            kind.process = start(kind.argv, PREFECT_WORKER_QUERY_SECONDS=kind.seconds)
        yield api, server
    finally:
        for process in started[::-1]:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                process.wait(15)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def answers(url: str) -> bool:
    """Whether it does."""
    with suppress(httpx.HTTPError):
        return httpx.get(url).is_success
    return False


def until(condition: Callable[[], object], what: str, seconds: float = 120) -> None:
    """Wait for it."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what} did not come within {seconds} s")
        time.sleep(0.05)


def ask(api: Api, kind: Kind) -> None:
    """One run: from before the request to the time of its first line."""
    began = time.time()
    run = str(api.post(f"deployments/{kind.deployment}/create_flow_run", {})["id"])
    until(lambda: (found := runs.read(run, api)) and found.over, f"a run of {kind.label}")
    query = {"logs": {"flow_run_id": {"any_": [run]}}, "sort": "TIMESTAMP_ASC"}
    lines: list[dict[str, str]] = []

    def said() -> bool:
        lines[:] = api.post("logs/filter", query)
        return any(line["message"].startswith("private") for line in lines)

    until(said, "its log")
    first = next(line for line in lines if line["message"] == "first line")
    kind.took.append(datetime.fromisoformat(first["timestamp"].replace("Z", "+00:00")).timestamp() - began)
    last = next(line for line in lines if line["message"].startswith("private"))
    kind.private.append(int(last["message"].split()[1]))


def memory(pid: int) -> int:
    """What this process would give back if it ended, in kB."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in rollup if line.startswith("Private_"))


def cpu(pid: int) -> float:
    """CPU seconds so far, of all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def main() -> None:
    """Measure and print."""
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--rounds", type=int, default=30)
    words.add_argument("--idle", type=float, default=30.0, help="seconds in which nothing is asked for")
    said = words.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, every = Path(name), kinds(Path(name) / "run")
        with processes(folder, every) as (api, server):
            for kind in every:
                ask(api, kind)  # not counted: the first one waits for the worker's own start
                kind.took.clear(), kind.private.clear()
            for _ in range(said.rounds):
                for kind in random.sample(every, len(every)):
                    time.sleep(random.uniform(0.5, 1.5))
                    ask(api, kind)
            pids = {"server": server.pid} | {kind.label: kind.process.pid for kind in every if kind.process}
            template = next(iter((folder / "run").glob("template-*.json"))).stem.partition("-")[2]
            pids["Tandem's template"] = int(template)
            before = {label: cpu(pid) for label, pid in pids.items()}
            time.sleep(said.idle)
            print("| worker | median s | worst s | of | memory of a run, MB |\n|---|---|---|---|---|")
            for kind in every:
                row = f"{median(kind.took):.2f} | {max(kind.took):.2f} | {len(kind.took)}"
                print(f"| {kind.label} | {row} | {median(kind.private) / 1e3:.0f} |")
            print("\n| process | memory, MB | idle CPU, % |\n|---|---|---|")
            for label, pid in pids.items():
                print(f"| {label} | {memory(pid) / 1e3:.0f} | {(cpu(pid) - before[label]) / said.idle * 100:.1f} |")
            print(f"\nload average {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
