"""Prefect's server on SQLite answers while several write at once."""

import asyncio
import subprocess
import sys
import time

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


def test_garbage_is_freed_by_no_thread_that_others_wait_for() -> None:
    done = subprocess.run([sys.executable, "-c", CYCLE], capture_output=True, text=True, timeout=120)
    assert set(done.stdout.split()) == {"garbage"}, done.stderr


def test_six_who_write_at_once_are_answered(server: str) -> None:
    """Each request within Prefect's busy_timeout of 60 s: whom the lock keeps waiting longer, nobody is answered."""
    slowest = asyncio.run(_write(server, clients=6, seconds=10.0))
    assert slowest < 30


async def _write(api: str, clients: int, seconds: float) -> float:
    """The slowest answer, in seconds. Refusals (503, a cut connection) are SQLite's way, and the next comes at once."""
    slowest = 0.0
    async with httpx.AsyncClient(base_url=api, timeout=120) as client:
        flow = (await client.post("/flows/", json={"name": "writers"})).json()["id"]

        async def ask(path: str, state: str, **more: str) -> str:
            nonlocal slowest
            began = time.monotonic()
            try:
                answer = await client.post(path, json={"state": {"type": state}, **more})
            except httpx.ReadError:
                return ""
            finally:
                slowest = max(slowest, time.monotonic() - began)
            return str(answer.json()["id"]) if answer.status_code == 201 and "id" in answer.json() else ""

        async def write(ends: float) -> None:
            while time.monotonic() < ends:
                if run := await ask("/flow_runs/", "PENDING", flow_id=flow):
                    for state in ("RUNNING", "COMPLETED"):
                        await ask(f"/flow_runs/{run}/set_state", state)

        await asyncio.gather(*(write(time.monotonic() + seconds) for _ in range(clients)))
    return slowest
