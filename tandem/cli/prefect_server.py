"""Prefect's server on SQLite, its garbage collected aside: `python -m tandem.cli.prefect_server start --port PORT`.

A statement that failed is held by its error's traceback, a cycle, and freed by whichever thread the collector runs
in. Freeing it waits for its connection. Where that waits for the writer before it (up to Prefect's busy_timeout, 60 s)
and the thread is the event loop's, that writer never gets to its commit, and nobody is answered for a minute. A thread
of its own may wait: Python's sqlite3 lets go of the interpreter meanwhile.

Measured with six clients that create runs and set states: without this the server froze for 60 s in each of eight runs
of 8 to 20 s, with it in none of four, and answered some ten times as many requests a second.
"""

import gc
import runpy
import sys
import threading
import time

YOUNG, ALL = 1.0, 60  # seconds between collections of what is young; after so many of these, of everything


def collect_aside() -> None:
    """From now on garbage is collected in a thread of its own, as long as this process lives."""
    gc.disable()
    threading.Thread(target=_collect, name="garbage", daemon=True).start()


def _collect() -> None:
    rounds = 0
    while True:
        time.sleep(YOUNG)
        rounds += 1
        gc.collect(1 if rounds % ALL else 2)


def main() -> None:
    """`prefect server`, with the words of the command line."""
    collect_aside()
    sys.argv.insert(1, "server")
    runpy.run_module("prefect", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
