"""Several who write at once, against Prefect's server on SQLite: as Prefect starts it, as `tandem up` does; in turn.

    .venv/bin/python benchmarks/writers.py [--clients 6] [--seconds 20] [--rounds 3]

Each client creates a flow run and sets two states, again and again; what is refused (503, a cut connection) counts as
refused and the next request comes at once. Each run has a new server with a new database.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
from servers import free_port

WAYS = {"prefect server start": "prefect server", "tandem up": "tandem.cli.prefect_server"}


@dataclass
class Told:
    """What the clients saw: seconds of each request, how many were refused, until the last was answered."""

    seconds: list[float] = field(default_factory=list)
    refused: int = 0
    over: float = 0.0


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--clients", type=int, default=6)
    words.add_argument("--seconds", type=float, default=20)
    words.add_argument("--rounds", type=int, default=3)
    asked = words.parse_args()
    print("| way | done a second: min | median | max | refused | slowest, s |\n|---|---|---|---|---|---|")
    told: dict[str, list[Told]] = {way: [] for way in WAYS}
    for _ in range(asked.rounds):
        for way, module in WAYS.items():
            with server(module.split()) as api:
                told[way].append(asyncio.run(write(api, asked.clients, asked.seconds)))
    for way, runs in told.items():
        done = sorted((len(run.seconds) - run.refused) / run.over for run in runs)
        share = sum(run.refused for run in runs) / sum(len(run.seconds) for run in runs)
        slowest = max(max(run.seconds) for run in runs)
        rates = f"{done[0]:.1f} | {statistics.median(done):.1f} | {done[-1]:.1f}"
        print(f"| `{way}` | {rates} | {share:.0%} | {slowest:.1f} |")


async def write(api: str, clients: int, seconds: float) -> Told:
    """Let so many clients write for that long."""
    told, began = Told(), time.perf_counter()
    async with httpx.AsyncClient(base_url=api, timeout=180) as client:
        flow = (await client.post("/flows/", json={"name": "writers"})).json()["id"]

        async def ask(path: str, state: str, **more: str) -> str:
            asked = time.perf_counter()
            try:
                answer = await client.post(path, json={"state": {"type": state}, **more})
                good = answer.status_code == 201
            except httpx.ReadError:
                good = False
            told.seconds.append(time.perf_counter() - asked)
            told.refused += not good
            return str(answer.json().get("id", "done")) if good else ""

        async def one() -> None:
            while time.perf_counter() - began < seconds:
                if run := await ask("/flow_runs/", "PENDING", flow_id=flow):
                    for state in ("RUNNING", "COMPLETED"):
                        await ask(f"/flow_runs/{run}/set_state", state)

        await asyncio.gather(*(one() for _ in range(clients)))
    told.over = time.perf_counter() - began
    return told


@contextmanager
def server(module: list[str]) -> Iterator[str]:
    """A server with a database of its own; the address of its API."""
    port = free_port()
    with tempfile.TemporaryDirectory() as home:
        env = os.environ | {"PREFECT_HOME": home, "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
        env["PREFECT_SERVER_LOGGING_LEVEL"] = "CRITICAL"
        process = subprocess.Popen([sys.executable, "-m", *module, "start", "--port", str(port)], env=env, stdout=-3)
        try:
            api, deadline = f"http://127.0.0.1:{port}/api", time.monotonic() + 180
            while not answers(api):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit("Prefect's server did not start")
                time.sleep(0.2)
            yield api
        finally:
            process.terminate()
            process.wait(90)


def answers(api: str) -> bool:
    try:
        return httpx.get(f"{api}/health").status_code == 200
    except httpx.HTTPError:
        return False


if __name__ == "__main__":
    main()
