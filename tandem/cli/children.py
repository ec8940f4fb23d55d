"""Processes that outlive the command that started them, and can be found again.

Each holds a lock on its file in .tandem/run/ for as long as it lives: the kernel lets go of it whatever kills the
process, so a process id that came to be another program's is never taken for ours.
"""

import fcntl
import json
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from tandem.errors import TandemError


@dataclass(frozen=True)
class Child:
    """A living process. `about` is what its starter wrote of it, to tell whether it is still the right one."""

    name: str
    pid: int
    about: str = ""


def log(root: Path, name: str) -> Path:
    """Where a child's output goes."""
    return root / ".tandem" / "log" / f"{name}.log"


def folder(root: Path) -> Path:
    """Where the children's files are; a program that is told it may put a locked file of its own there."""
    return root / ".tandem" / "run"


def start(root: Path, name: str, argv: Sequence[str], env: Mapping[str, str], about: str = "") -> Child:
    """Start `argv` in a session of its own, its output into its log file; raises TandemError if it lives already."""
    file, output = _file(root, name), log(root, name)
    for folder in (file.parent, output.parent):
        folder.mkdir(parents=True, exist_ok=True)
    with file.open("a+") as lock, output.open("ab") as sink:
        _take(lock, name)
        child = Child(
            name,
            subprocess.Popen(
                argv,
                cwd=root,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=[lock.fileno()],  # the lock now belongs to the child as well
            ).pid,
            about,
        )
        lock.truncate(0)
        lock.write(json.dumps(asdict(child)))
    return child


def hold(root: Path, name: str, about: str = "") -> int:
    """Be the child of that name, in this process and what it becomes by exec; the descriptor of its lock.

    Raises TandemError if one lives already.
    """
    file = _file(root, name)
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a+") as lock:
        _take(lock, name)
        lock.truncate(0)
        lock.write(json.dumps(asdict(Child(name, os.getpid(), about))))
        lock.flush()
        held = os.dup(lock.fileno())
    os.set_inheritable(held, True)
    return held


def _take(lock: TextIO, name: str) -> None:
    if not _lock_within(lock.fileno(), seconds=1.0):  # somebody may be looking just now
        raise TandemError(f"{name} runs already (see {lock.name})")


def named(root: Path, beginning: str) -> list[str]:
    """The names of the children, living or dead, that begin so."""
    return sorted(file.stem for file in folder(root).glob(f"{beginning}*.json"))


def known(root: Path, name: str) -> bool:
    """Whether it should be there: it was started, and not ended by us since."""
    return _file(root, name).exists()


def forget(root: Path, name: str) -> None:
    """Miss it no more, if it is dead."""
    if find(root, name) is None:
        _file(root, name).unlink(missing_ok=True)


def pulse(root: Path, name: str) -> float | None:
    """When the child last touched its file, in seconds since 1970; None where it has none."""
    with suppress(FileNotFoundError):
        return _file(root, name).stat().st_mtime
    return None


def find(root: Path, name: str) -> Child | None:
    """The child, if it lives."""
    try:
        with _file(root, name).open("r") as lock:
            if _lock(lock.fileno(), fcntl.LOCK_SH):
                return None
            return Child(**json.loads(lock.read()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def stop(root: Path, name: str, patience: float = 6.0) -> bool:
    """End the child and its process group, by SIGTERM and after `patience` seconds by SIGKILL; whether it lived."""
    lived = end(root, name, patience)
    _file(root, name).unlink(missing_ok=True)
    return lived


def end(root: Path, name: str, patience: float = 6.0) -> bool:
    """The same, and its file stays: it is missed, and whoever looks after it starts it again."""
    child = find(root, name)
    if child is None:
        return False
    for number, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, 5.0)):
        _signal(child.pid, number)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if find(root, name) is None:
                _bury(child.pid)
                return True
            time.sleep(0.05)
    raise TandemError(f"{name} (process {child.pid}) does not end, not even by SIGKILL: see 'ps -p {child.pid}'")


def end_other(pid: int, variable: str, patience: float = 5.0) -> bool:
    """End a process that is not ours to wait for, if `variable` ("NAME=value") stands in its environment."""
    if variable not in _surroundings(pid):
        return False
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(os.getpgid(pid), number)
        deadline = time.monotonic() + patience
        while variable in _surroundings(pid):
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
        else:
            return True
    return True


def _surroundings(pid: int) -> list[str]:
    """A process's words and environment: [] where it is gone, or somebody else's."""
    file = Path(f"/proc/{pid}/environ")
    if Path("/proc/self/environ").exists():
        with suppress(OSError):
            return file.read_text(errors="replace").split("\0")
        return []
    listed = subprocess.run(
        ["ps", "eww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return listed.stdout.split()


def last_words(root: Path, name: str, lines: int = 15) -> str:
    """The end of the child's log."""
    with suppress(FileNotFoundError):
        return "\n".join(log(root, name).read_text(errors="replace").splitlines()[-lines:])
    return ""


def _signal(pid: int, number: int) -> None:
    """To its process group, where it leads one: a command in the foreground may be a part of its caller's."""
    with suppress(ProcessLookupError):
        if os.getpgid(pid) == pid:
            os.killpg(pid, number)
        else:
            os.kill(pid, number)


def _file(root: Path, name: str) -> Path:
    return folder(root) / f"{name}.json"


def _lock(descriptor: int, kind: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lock_within(descriptor: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not (locked := _lock(descriptor)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return locked


def _bury(pid: int) -> None:
    """Take the exit status where the dead is our own child; elsewhere init does."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
