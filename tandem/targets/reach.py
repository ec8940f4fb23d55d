"""From a flow to its environment's holder: find it, start it, wait for it, stop it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tandem.errors import ReleaseFailed
from tandem.targets.holder import ANOTHER_LIVES, end_orphans
from tandem.targets.launch import living, tail
from tandem.targets.wire import Connection, socket_path

START_LIMIT = 60.0  # seconds; ending what a killed holder left behind is part of a start
GONE_LIMIT = 45.0  # seconds for an old version to end; its holder kills it after 30
PASSED_ON = ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH")  # to the holder; nothing secret


def recorded(folder: Path) -> dict[str, Any]:
    """What holder.json says: pid, address, asked, serving (a digest or None), apps."""
    try:
        document: dict[str, Any] = json.loads((folder / "holder.json").read_text())
    except (FileNotFoundError, ValueError):
        return {"pid": None, "address": None, "asked": None, "serving": None, "apps": []}
    return document


def connect(folder: Path) -> Connection | None:
    """A conversation with the living holder, or None where none lives."""
    try:
        connection = Connection(socket_path(folder))
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    try:
        connection.ask("status")  # one that is just being killed still takes a connection
    except ConnectionError:
        connection.close()
        return None
    return connection


@contextmanager
def holder(folder: Path, address: str) -> Iterator[Connection]:
    """A conversation with the holder, started where none lives. Raises ReleaseFailed by the environment's fault."""
    connection = connect(folder) or _start(folder, address)
    try:
        with connection:
            yield connection
    except (ConnectionError, TimeoutError) as error:
        raise ReleaseFailed(
            f"the process that holds {address} went away meanwhile ({error}): run the same again; "
            f"what it said last is in {folder / 'holder.log'}",
            "environment",
        ) from error


def stop(folder: Path, keep: bool) -> None:
    """End the holder and all it runs, or what a killed one left; with `keep` it is known what to resume."""
    serving = recorded(folder)["serving"]
    if connection := connect(folder):
        with connection:
            try:
                connection.ask("stop", keep=keep)
            except (ConnectionError, TimeoutError):
                serving = None if not keep else serving
    deadline = time.monotonic() + START_LIMIT
    while living(folder / "holder.lock"):
        if time.monotonic() > deadline:
            pid = recorded(folder)["pid"]
            raise ReleaseFailed(f"the holder in {folder} (process {pid}) did not end: kill it", "environment")
        time.sleep(0.01)
    end_orphans(folder)
    if folder.is_dir():
        record = {**recorded(folder), "pid": None, "apps": [], "serving": serving if keep else None}
        new = folder / "holder.json.new"
        new.write_text(json.dumps(record))
        new.replace(folder / "holder.json")


def wait_for_old(holder: Connection) -> None:
    """Until only the current version lives; ReleaseFailed, naming the process, where another does not end."""
    deadline = time.monotonic() + GONE_LIMIT
    while old := holder.ask("status")["old"]:
        if time.monotonic() > deadline:
            pids = ", ".join(str(version["pid"]) for version in old)
            raise ReleaseFailed(f"the old version (process {pids}) does not end: kill it", "environment")
        time.sleep(0.02)


def see_it_stay(holder: Connection, seconds: float, log: Path) -> None:
    """Look at what serves for so long; ReleaseFailed as soon as it has ended once since it was started."""
    until = time.monotonic() + seconds
    while True:
        current = holder.ask("status")["current"]
        if current is None or restarts(current):
            why = ended(current["exit"]) if current else "the app was stopped by somebody else"
            raise ReleaseFailed(
                f"{why} just after users were led to it", "candidate" if current else "environment", tail(log)
            )
        if time.monotonic() >= until:
            return
        time.sleep(0.02)


def restarts(version: dict[str, Any]) -> int:
    """How often it was started again; one that has just died is counted before its holder has seen that."""
    return max(int(version["restarts"]), 0 if version["state"] in ("running", "ending") else 1)


def ended(code: int | None) -> str:
    """How an app ended, of its exit code (below zero: a signal's number), in words."""
    if code is not None and code < 0:
        return f"the app was ended by {signal.Signals(-code).name}"
    return f"the app ended (exit code {code})"


def _start(folder: Path, address: str) -> Connection:
    folder.mkdir(parents=True, exist_ok=True)
    argv = [sys.executable, "-m", "tandem.targets.holder", str(folder), address]
    env = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    deadline = time.monotonic() + START_LIMIT
    while True:
        with (folder / "holder.log").open("ab") as log:
            code = subprocess.run(
                argv, env=env, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False
            ).returncode
        if code in (0, ANOTHER_LIVES) and (connection := connect(folder)):
            return connection
        if code not in (0, ANOTHER_LIVES) or time.monotonic() > deadline:
            said = tail(folder / "holder.log", 1) or f"exit code {code}"
            raise ReleaseFailed(f"{address} could not be held: {said}", "environment")
        time.sleep(0.02)
