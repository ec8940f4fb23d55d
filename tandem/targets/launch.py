"""Starting and ending a bundle's program: a session of its own, its output in a file, nothing of it left behind."""

import errno
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tandem.errors import ReleaseFailed
from tandem.targets.program import Program

LOG_LIMIT = 10 * 1024 * 1024  # bytes, and as much again in the file before
MARK = "TANDEM_LIFE"
GONE = 10.0  # seconds from SIGKILL until it must be gone


@dataclass(frozen=True)
class Ended:
    """How a program ended: seconds after SIGTERM, and whether it obeyed or had to be killed."""

    seconds: float
    obeyed: bool


def start(
    program: Program, port: int, listening: socket.socket | None, life: Path, prefix: tuple[str, ...] = ()
) -> subprocess.Popen[bytes]:
    """Start the program, with `listening` inherited as its {listen}; `prefix` goes before its argv.

    The file `life` is locked for as long as anything of the program lives. Raises ReleaseFailed.
    """
    descriptor = listening.fileno() if listening else -1
    argv, env = program.resolved(port, f"fd://{descriptor}" if listening else f"127.0.0.1:{port}")
    for folder in (env["HOME"], env["TMPDIR"], str(Path(program.log).parent)):
        Path(folder).mkdir(parents=True, exist_ok=True)
    held = os.open(life, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with Path(program.log).open("ab") as log:
            return subprocess.Popen(
                [*prefix, *argv],
                cwd=program.cwd,
                env={**env, MARK: str(life)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(held, descriptor) if listening else (held,),
                start_new_session=True,
            )
    except OSError as error:
        ours = error.errno in (errno.ENOMEM, errno.EAGAIN, errno.ENOSPC, errno.EMFILE, errno.ENFILE)
        what = f"{argv[0] if argv else 'an empty command'!r} could not be started: {error.strerror or error}"
        if isinstance(error, FileNotFoundError | PermissionError | NotADirectoryError):
            what += " (the first word of [image] command must be a program of the image or of this machine)"
        raise ReleaseFailed(what, "environment" if ours else "candidate") from None
    finally:
        os.close(held)


def end(process: subprocess.Popen[bytes], life: Path, limit: float, pid: int | None = None) -> Ended:
    """SIGTERM to the program, as every container platform does; after `limit` seconds SIGKILL to all of it."""
    began = time.monotonic()
    with suppress(ProcessLookupError):
        os.kill(pid or process.pid, signal.SIGTERM)
    try:
        process.wait(limit)
        obeyed = True
    except subprocess.TimeoutExpired:
        obeyed = False
    seconds = time.monotonic() - began
    clear(process.pid, life)
    process.wait()
    return Ended(seconds, obeyed)


def end_orphan(pid: int, life: Path, limit: float) -> None:
    """The same for a program whose parent died: it is known by its locked `life`."""
    if not living(life):
        return
    with suppress(ProcessLookupError, PermissionError):
        if os.getpgid(pid) == pid:
            os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + limit
    while living(life) and time.monotonic() < deadline:
        time.sleep(0.02)
    clear(pid, life)


def clear(group: int | None, life: Path) -> None:
    """Kill what is left of a program, until nothing is: its process group, and on Linux what left the group."""
    deadline = time.monotonic() + GONE
    while (lives := living(life)) | bool(left := strays(life)):
        if group and lives:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            return
        time.sleep(0.02)


def living(life: Path) -> bool:
    """Whether anything that inherited the lock on this file still lives."""
    try:
        descriptor = os.open(life, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def strays(life: Path) -> list[int]:
    """Processes that carry the program's mark in their environment (Linux; elsewhere none are seen)."""
    if sys.platform != "linux":
        return []
    mark, found = f"{MARK}={life}".encode(), []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark in (process / "environ").read_bytes().split(b"\0"):
                found.append(int(process.name))
    return found


def tail(log: Path, lines: int = 50) -> str:
    """The log's last lines, of its last 64 KiB; "" where there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 65536))
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""


def bound(log: Path) -> None:
    """Where the log is over its limit, move what it holds into `log`.1; whoever has it open goes on writing."""
    with suppress(FileNotFoundError):
        if log.stat().st_size > LOG_LIMIT:
            with log.open("rb+") as file:
                file.seek(-LOG_LIMIT, os.SEEK_END)
                log.with_name(f"{log.name}.1").write_bytes(file.read())
                file.truncate(0)
