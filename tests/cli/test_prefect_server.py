"""Prefect's server on SQLite answers while several write at once."""

import asyncio
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx

CYCLE = """
import gc, threading, time
from tandem.cli import prefect_server
freed = []
class Held:
    def __init__(self): self.itself = self
    def __del__(self): freed.append(threading.current_thread().name)
prefect_server.collect_aside(imported=1, everything=4)
while not gc.get_freeze_count(): time.sleep(0.1)
print(gc.get_freeze_count())
old = [Held() for _ in range(5000)]
gc.collect()  # only a look through everything finds them now
del old
for _ in range(5000): Held()
deadline = time.monotonic() + 60
while len(freed) < 10000 and time.monotonic() < deadline: time.sleep(0.1)
print(len(freed), *set(freed))
"""

CANCELLED = """
import asyncio, gc, sys
from sqlalchemy import text
from prefect.server.database.configurations import AioSqliteConfiguration
from tandem.cli import prefect_server
gc.disable()  # else a collection might let go of it
prefect_server.take_the_lock_first()
LONG = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c WHERE x<4000000) SELECT count(*) FROM c"

async def main():
    config = AioSqliteConfiguration("sqlite+aiosqlite:///" + sys.argv[1])
    engine = await config.engine()

    async def run(statement):
        async with await config.session(engine) as session, config.begin_transaction(session):
            await session.execute(text(statement))

    await run("CREATE TABLE t(a)")
    long = asyncio.create_task(run(LONG))
    await asyncio.sleep(0.2)
    long.cancel()
    try:
        await long
    except BaseException as error:
        print(type(error).__name__)
    await asyncio.wait_for(run("INSERT INTO t VALUES (1)"), 30)
    async with await config.session(engine) as session, config.begin_transaction(session):
        await session.execute(text("INSERT INTO t VALUES (2)"))
        async with await config.session(engine) as inner, config.begin_transaction(inner):  # it waits for nobody
            print((await inner.execute(text("SELECT count(*) FROM t"))).scalar())

asyncio.run(main())
"""


@dataclass
class Told:
    """What the writers saw: seconds of each request, and how many were refused."""

    seconds: list[float] = field(default_factory=list)
    refused: int = 0


def test_garbage_is_freed_by_no_thread_that_others_wait_for() -> None:
    done = subprocess.run([sys.executable, "-c", CYCLE], capture_output=True, text=True, timeout=120)
    set_apart, freed, *threads = done.stdout.split()
    assert (freed, threads) == ("10000", ["garbage"]), done.stderr
    assert int(set_apart) > 10_000  # what the imports made: not looked through again


def test_a_transaction_that_is_cancelled_lets_go_of_the_lock_and_one_inside_another_takes_none(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", CANCELLED, str(tmp_path / "prefect.db")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=240)
    assert done.stdout.split() == ["CancelledError", "1"], done.stderr


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
