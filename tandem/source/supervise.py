"""Runs one command with a time limit and leaves nothing of it behind, not even what left its process group.

    python -I -S supervise.py SECONDS PARENT PROCESSES COMMAND [WORD…]

It stands alone (nothing of Tandem's is imported): it runs in the sandbox as well, as process 1, where PARENT is 0.
Exit code 124 at the time limit, 127 without such a command, else the command's. On Linux it ends with PARENT, its
parent's id, and PROCESSES is how many the user may have (0: not limited), so that a fork bomb ends there.
"""

import contextlib
import os
import resource
import signal
import sys
import time
from pathlib import Path
from types import FrameType

TIMED_OUT = 124
PATIENCE = ((signal.SIGINT, 10.0), (signal.SIGTERM, 1.0))  # seconds: pytest uses SIGINT's to say where it was
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


class Interrupted(BaseException):
    """A signal: the time limit, or somebody who wants this to end."""


def main(words: list[str]) -> int:
    """Run the command of argv; returns the exit code."""
    limit, parent, processes, command = float(words[1]), int(words[2]), int(words[3]), words[4:]
    if parent:
        _adopt_orphans_and_end_with(parent)
    _limit_resources(processes)
    for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _interrupt)
    own = {signal.SIGALRM, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ}
    try:
        child = os.posix_spawnp(command[0], command, os.environ, setpgroup=0, setsigdef=own)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        return 127
    try:
        signal.setitimer(signal.ITIMER_REAL, limit)
        code = _ends(child)
    except Interrupted as interrupted:
        code = TIMED_OUT
        if interrupted.args[0] == signal.SIGALRM:
            print(f"\ntandem: the time limit of {limit:g} s is over", file=sys.stderr, flush=True)
            with contextlib.suppress(Interrupted):
                _ask_to_end(child)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        _end_all(child)
    return code


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Interrupted(number)


def _ends(child: int) -> int:
    """Wait for the command, and bury whatever else ends meanwhile; returns its exit code as a shell tells it."""
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _ask_to_end(child: int) -> None:
    for number, seconds in PATIENCE:
        _signal_group(child, number)
        if _ends_within(child, seconds):
            return


def _ends_within(child: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(ChildProcessError):
            if os.waitpid(child, os.WNOHANG)[0] == 0:
                time.sleep(0.05)
                continue
        return True
    return False


def _end_all(child: int) -> None:
    """SIGKILL to the group, then to whatever this process has adopted, until there is nobody.

    As process 1 of a sandbox there is nothing to do: the kernel ends everything with it.
    """
    if os.getpid() == 1:
        return
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    deadline = time.monotonic() + 10
    _signal_group(child, signal.SIGKILL)
    while time.monotonic() < deadline:
        for pid in _descendants():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.01)
        except ChildProcessError:
            return


def _descendants() -> list[int]:
    """Everything below this process, as /proc tells; empty where there is none."""
    children: dict[int, list[int]] = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            parent = int(file.read_bytes().rpartition(b")")[2].split()[1])
            children.setdefault(parent, []).append(int(file.parent.name))
    found, todo = [], [os.getpid()]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


def _signal_group(leader: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


def _adopt_orphans_and_end_with(parent: int) -> None:
    """prctl(2): orphans become this process's children, and the parent's death comes as SIGTERM. Linux only."""
    if sys.platform != "linux":
        return
    import ctypes

    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:
            sys.exit(TIMED_OUT)


def _limit_resources(processes: int) -> None:
    """No core files, and at most so many processes of this user (root is never limited)."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    soft, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    if processes and (soft == resource.RLIM_INFINITY or processes < soft):
        resource.setrlimit(resource.RLIMIT_NPROC, (processes, hard))


if __name__ == "__main__":
    sys.exit(main(sys.argv))
