"""A flow for tests of the worker: says what process it runs in, and ends as it is told."""

import json
import os
import random
import threading
import time
import uuid
from pathlib import Path

from prefect import flow
from prefect.client.schemas.objects import Variable

VALUE = "as it was"
THREADS_AT_IMPORT = threading.active_count()


@flow
def warmly(note: str, end: str = "", seconds: float = 0.0) -> None:
    """Write a note of this process; then end by `end`: "", "fail", "exit", "kill"."""
    said = {
        "pid": os.getpid(),
        "parent": os.getppid(),
        "session": os.getsid(0),
        "value": VALUE,
        "folder": str(Path.cwd()),
        "random": random.random(),
        "uuid": str(uuid.uuid4()),
        "run": os.environ["PREFECT__FLOW_RUN_ID"],
        "extra": os.environ.get("EXTRA"),
        "hash": os.environ.get("PYTHONHASHSEED"),
        "open": sorted(_open()),
        "ready": Variable.__pydantic_complete__,  # which Prefect builds at its first use
    }
    Path(f"{note}.new").write_text(json.dumps(said))
    Path(f"{note}.new").rename(note)
    time.sleep(seconds)
    if end == "fail":
        raise ValueError("told to fail")
    if end == "exit":
        os._exit(3)
    if end == "kill":
        os.kill(os.getpid(), 9)


def _open() -> set[str]:
    """What this process holds open, without pipes and files of its own."""
    found = set()
    for file in Path("/proc/self/fd").iterdir() if Path("/proc/self/fd").exists() else []:
        try:
            found.add(str(file.readlink()))
        except OSError:
            continue
    return found
