"""A flow for tests: says where it runs, and sleeps."""

import json
import os
import time
from pathlib import Path

from prefect import flow


@flow
def sleepy(seconds: float = 0.0, note: str = "") -> None:
    """Write a note of this process, then sleep."""
    if note:
        names, ids = ("TANDEM_ROOT", "PREFECT_HOME", "PREFECT_API_URL"), {"pid": os.getpid(), "parent": os.getppid()}
        Path(note).write_text(json.dumps({name: os.environ.get(name) for name in names} | ids))
    time.sleep(seconds)
