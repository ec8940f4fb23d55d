"""Prefect's server on SQLite, without its two standstills: `python -m tandem.cli.prefect_server start --port PORT`.

**Frozen for a minute.** A statement that failed is held by its error's traceback, a cycle, and freed by whichever
thread the collector runs in. Freeing it waits for its connection. Where that waits for the writer before it (up to
Prefect's busy_timeout, 60 s) and the thread is the event loop's, that writer never gets to its commit, and nobody is
answered. A thread of its own may wait: Python's sqlite3 lets go of the interpreter meanwhile.

**Refused.** A transaction that reads first and writes then is refused at once (503) where another one wrote in between:
https://www.sqlite.org/isolation.html. Whoever takes the write lock as it begins waits for it instead. Prefect does so
in some places (`with_for_update`); here every transaction does, but for one that its own task opened inside another.

docs/scale.md has the figures of both; benchmarks/writers.py makes them.
"""

import asyncio
import gc
import runpy
import sys
import threading
import time
from contextlib import suppress
from itertools import count
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, Pool, event
from sqlalchemy.dialects.sqlite.aiosqlite import AsyncAdapt_aiosqlite_connection

ROUND = 1.0  # seconds between two collections of what is young
IMPORTED = 60  # rounds until a server has imported all it needs
EVERYTHING = 30  # rounds between two collections of everything


def main() -> None:
    """`prefect server`, with the words of the command line."""
    collect_aside()
    take_the_lock_first()
    sys.argv.insert(1, "server")
    runpy.run_module("prefect", run_name="__main__", alter_sys=True)


def collect_aside(imported: int = IMPORTED, everything: int = EVERYTHING) -> None:
    """From now on garbage is collected in a thread of its own, as long as this process lives.

    What there is after `imported` rounds, above all what was imported, stays, and is not looked through again: that
    would stop everything for a second. After it, each round of `everything` looks through all there is.
    """
    gc.disable()
    threading.Thread(target=_collect, args=(imported, everything), name="garbage", daemon=True).start()


def _collect(imported: int, everything: int) -> None:
    for number in count(1):
        time.sleep(ROUND)
        gc.collect(2 if number > imported and number % everything == 0 else 1)
        if number == imported:  # once: what lives at this moment is never freed
            gc.freeze()


def take_the_lock_first() -> None:
    """From now on a transaction on SQLite begins by taking the write lock, unless its task holds it already."""
    held: WeakKeyDictionary[Connection, asyncio.Task[Any]] = WeakKeyDictionary()
    undoing: set[asyncio.Task[None]] = set()

    def begin(connection: Connection, _cursor: Any, statement: str, words: Any, _context: Any, _many: bool) -> Any:
        if statement in ("BEGIN DEFERRED", "BEGIN IMMEDIATE"):
            task = asyncio.current_task()
            open_here = (c for c, holder in list(held.items()) if holder is task and not (c.closed or c.invalidated))
            if task and not any(open_here):
                held[connection] = task
                statement = "BEGIN IMMEDIATE"
        return statement, words

    def end(connection: Connection) -> None:
        held.pop(connection, None)

    def undo(connection: Any, _record: Any, _error: BaseException | None) -> None:
        """A cancelled statement's connection is thrown away: its lock must not wait until its cursor is garbage."""
        if isinstance(connection, AsyncAdapt_aiosqlite_connection):
            with suppress(RuntimeError):  # no loop runs any more
                task = asyncio.get_running_loop().create_task(_rolled_back(connection.driver_connection))
                undoing.add(task)
                task.add_done_callback(undoing.discard)

    event.listen(Engine, "before_cursor_execute", begin, retval=True)
    event.listen(Engine, "commit", end)
    event.listen(Engine, "rollback", end)
    event.listen(Pool, "invalidate", undo)


async def _rolled_back(connection: Any) -> None:
    with suppress(Exception):  # it may be closed already
        await connection.rollback()


if __name__ == "__main__":
    main()
