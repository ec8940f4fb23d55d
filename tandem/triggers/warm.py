"""Prefect's process worker, with two waits taken out: it hears of runs by event, and forks them from a warm process.

A worker that is killed leaves its runs to themselves: they go on, and report to Prefect's server as before. What
ends without a word is found by orphans.py.
"""

import argparse
import asyncio
import os
import sys
import time
from abc import ABC
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
from prefect.client.schemas.objects import FlowRun
from prefect.events.clients import get_events_subscriber
from prefect.events.filters import EventAnyResourceFilter, EventFilter, EventNameFilter
from prefect.settings.context import get_current_settings
from prefect.workers.process import ProcessJobConfiguration, ProcessWorker, ProcessWorkerResult

from tandem.errors import TandemError
from tandem.triggers import orphans
from tandem.triggers.api import Api, connect
from tandem.triggers.keep_warm import Warmth

LAUNCH = Path(__file__).with_name("launch.py")
ORPHANS_EVERY, PULSE_EVERY, BREATH = 15.0, 5.0, 0.1  # seconds


class WarmJob(ProcessJobConfiguration):
    """A process worker's job whose command, where nobody set one, asks the template."""

    def prepare_for_flow_run(self, *words: Any, **more: Any) -> None:
        """As Prefect's: the environment and the command are complete."""
        self.command = self.command or f"{sys.executable} -I -S {LAUNCH}"
        super().prepare_for_flow_run(*words, **more)


class WarmWorker(ProcessWorker, ABC):  # ABC: not registered in the place of Prefect's own "process"
    """A worker of type `process` for one pool. `warmth` is the template that its runs are forked from."""

    job_configuration = WarmJob
    warmth: Warmth

    async def setup(self) -> None:
        """As Prefect's, and one turn at a time: event and poll may come together."""
        self._turn = asyncio.Lock()
        await super().setup()

    async def get_and_submit_flow_runs(self) -> list[FlowRun]:
        """Take the runs that are due."""
        async with self._turn:
            self.warmth.keep()
            return await super().get_and_submit_flow_runs()

    async def run(self, *words: Any, **more: Any) -> ProcessWorkerResult:
        """Run one, with the newest code."""
        self.warmth.renew()
        return await super().run(*words, **more)

    async def listen(self) -> None:
        """Take runs as soon as the server says that there are some; the poll finds what is missed here."""
        while True:
            try:
                await self._listen()
            except Exception as trouble:  # the server is away: the poll says so
                self._logger.debug("no events: %s", trouble)
            await anyio.sleep(2)

    async def _listen(self) -> None:
        if not self.is_setup or self._work_pool is None:
            return
        wanted = EventFilter(
            event=EventNameFilter(name=["prefect.flow-run.Scheduled"]),
            any_resource=EventAnyResourceFilter(id=[f"prefect.work-pool.{self.work_pool.id}"]),
        )
        heard = asyncio.Event()
        async with get_events_subscriber(filter=wanted) as events, anyio.create_task_group() as both:

            async def take() -> None:
                while True:
                    await heard.wait()
                    heard.clear()
                    await self.get_and_submit_flow_runs()
                    await anyio.sleep(BREATH)  # a thousand events are a few looks

            both.start_soon(take)
            async for _ in events:
                heard.set()
            both.cancel_scope.cancel()


def environment() -> dict[str, str]:
    """What the template starts with: as Prefect's worker makes it for a run."""
    return os.environ | get_current_settings().to_environment_variables(exclude_unset=True)


def look_for_orphans(pool: str, api: Api, first: bool) -> bool:
    """Say what was done about runs that nobody runs; False where the server could not be asked."""
    try:
        for line in orphans.end(pool, api, first):
            print(line, flush=True)
    except TandemError as trouble:
        print(f"runs whose process is gone could not be looked for: {trouble}", flush=True)
        return False
    return True


async def work(pool: str, name: str, warmth: Warmth, alone: bool) -> None:
    """Work until the process is ended."""
    worker = WarmWorker(work_pool_name=pool, name=name, create_pool_if_not_found=False)
    worker.warmth = warmth

    async def orphans_too() -> None:
        api = connect()
        while True:
            await anyio.sleep(ORPHANS_EVERY)
            await anyio.to_thread.run_sync(look_for_orphans, pool, api, False)

    async def pulse() -> None:
        while True:
            with suppress(FileNotFoundError):
                os.utime(warmth.register / "worker.json")
            await anyio.sleep(PULSE_EVERY)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(worker.listen)
        tasks.start_soon(pulse)
        if alone:
            tasks.start_soon(orphans_too)
        await worker.start()


def main() -> None:
    """`python -m tandem.triggers.warm --pool P --name N --register FOLDER [--alone] MODULE…`."""
    words = argparse.ArgumentParser(prog="tandem's worker")
    words.add_argument("--pool", required=True)
    words.add_argument("--name", required=True)
    words.add_argument("--register", type=Path, required=True, help="the folder of lock files")
    words.add_argument("--alone", action="store_true", help="the pool has no worker elsewhere")
    words.add_argument("module", nargs="*", help="what the template imports")
    said = words.parse_args()
    warmth = Warmth(said.register.resolve(), said.module, environment)
    os.environ["TANDEM_TEMPLATE"] = str(warmth.folder)
    warmth.keep()
    if said.alone:  # before this worker takes a run itself: what is taken now was taken by one that is gone
        api = connect()
        while not look_for_orphans(said.pool, api, True):
            time.sleep(1)
    asyncio.run(work(said.pool, said.name, warmth, said.alone))


if __name__ == "__main__":
    main()
