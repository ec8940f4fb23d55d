"""A child of the warm template becomes a flow run's process: what `python -m prefect.engine` finds at its start."""

import ctypes
import os
import runpy
import signal
import socket
import sys
from dataclasses import dataclass

IMPORT_TIME = ("PYTHON", "LD_")  # variables that decide what an import finds: not for a process that has imported
PDEATHSIG = 1  # prctl(2): PR_SET_PDEATHSIG


@dataclass(frozen=True)
class Asked:
    """What the child becomes: the folder it runs in and its whole environment."""

    folder: str
    environment: dict[str, str]


def read(connection: socket.socket) -> Asked:
    """What launch.py sent; raises OSError, ValueError where it did not."""
    with connection.makefile("rb") as stream:
        size = int.from_bytes(stream.read(4), "big")
        body = stream.read(size)
    folder, *pairs = os.fsdecode(body).split("\0")
    if not folder or len(body) < size:
        raise ValueError("an empty request, or half of one")
    return Asked(folder, dict(pair.split("=", 1) for pair in pairs))


def needs_its_own(environment: dict[str, str]) -> bool:
    """Whether the run's environment asks for other imports than this process has made."""
    ours = {name: value for name, value in os.environ.items() if name.startswith(IMPORT_TIME)}
    return ours != {name: value for name, value in environment.items() if name.startswith(IMPORT_TIME)}


def become(asked: Asked, parent: int) -> None:
    """Make the forked child what `python -m prefect.engine` would be: session, signals, environment, settings."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    os.setsid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    changed = {name for name, value in asked.environment.items() if os.environ.get(name) != value}
    os.environ.clear()
    os.environ.update(asked.environment)
    os.chdir(asked.folder)
    sys.path[0] = asked.folder
    if any(name.startswith("PREFECT_") and not name.startswith("PREFECT__") for name in changed):
        from prefect.context import refresh_global_settings_context
        from prefect.logging.configuration import setup_logging

        refresh_global_settings_context()
        setup_logging(incremental=False)


def run() -> None:
    """Run Prefect's engine on the flow run that the environment names; ends the process."""
    sys.argv = ["prefect.engine"]
    sys.modules.pop("prefect.engine", None)  # it runs as __main__, as Prefect's own bootstrap does it
    runpy.run_module("prefect.engine", run_name="__main__")
