"""Prefect's server on SQLite answers while several write at once."""

import asyncio
import subprocess
import sys
import time
from dataclasses import dataclass, field

import httpx

CYCLE = """
import threading, time
from tandem.cli import prefect_server
class Held:
    def __del__(self): print(threading.current_thread().name, flush=True)
prefect_server.collect_aside()
for _ in range(5000):
    held = Held(); held.itself = held
del held
time.sleep(4)
"""


@dataclass
class Told:
    """What the writers saw: seconds of each request, and how many were refused."""

    seconds: list[float] = field(default_factory=list)
    refused: int = 0


def test_garbage_is_freed_by_no_thread_that_others_wait_for() -> None:
    done = subprocess.run([sys.executable, "-c", CYCLE], capture_output=True, text=True, timeout=120)
    assert set(done.stdout.split()) == {"garbage"}, done.stderr


def test_six_who_write_at_once_are_answered(server: str) -> None:
    """As Prefect starts it, four of five requests are refused, and nobody is answered for its busy_timeout, 60 s."""
    told = asyncio.run(_write(server, clients=6, seconds=10.0))
    assert max(told.seconds) < 45
    assert told.refused < len(told.seconds) / 20, (told.refused, len(told.seconds))


async def _write(api: str, clients: int, seconds: float) -> Told:
    told = Told()
    async with httpx.AsyncClient(base_url=api, timeout=120) as client:
        flow = (await client.post("/flows/", json={"name": "writers"})).json()["id"]

        async def ask(path: str, state: str, **more: str) -> str:
            began = time.monotonic()
            try:
                answer = await client.post(path, json={"state": {"type": state}, **more})
                good = answer.status_code == 201
            except httpx.ReadError:  # so ends a connection that was answered with 503
                good = False
            told.seconds.append(time.monotonic() - began)
            told.refused += not good
            return str(answer.json().get("id", "done")) if good else ""

        async def write(ends: float) -> None:
            while time.monotonic() < ends:
                if run := await ask("/flow_runs/", "PENDING", flow_id=flow):
                    for state in ("RUNNING", "COMPLETED"):
                        await ask(f"/flow_runs/{run}/set_state", state)

        await asyncio.gather(*(write(time.monotonic() + seconds) for _ in range(clients)))
    return told
