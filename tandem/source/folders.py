"""Locks that end with their process, and folders that are removed after their run, or after its death."""

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tandem.errors import SourceError, Unreachable


@contextlib.contextmanager
def locked(file: Path, time_limit: float, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold `file` alone on this machine; the kernel lets go of it when this process dies.

    `waiting` is called once where somebody else holds it. Raises Unreachable after `time_limit` seconds.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + time_limit
    with file.open("a") as handle:
        if not _taken(handle.fileno()):
            waiting()
        while not _taken(handle.fileno()):
            if time.monotonic() >= deadline:
                raise Unreachable(f"{file} was held by another run for more than {time_limit:.0f} s: is one stuck?")
            time.sleep(0.05)
        yield


@contextlib.contextmanager
def run_folder(parent: Path, name: str) -> Iterator[Path]:
    """A new folder below `parent`, removed at the end; those of runs that died are removed now.

    A run is alive while it holds the lock beside its folder, so that no process id is trusted.
    """
    parent.mkdir(parents=True, exist_ok=True)
    _remove_the_dead(parent)
    with locked(parent / ".new.lock", 60):  # nobody takes the new folder for a dead one's before it has its lock
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=parent))
        own = folder.with_name(f"{folder.name}.lock").open("a")
        _taken(own.fileno())
    try:
        yield folder
    finally:
        remove(folder)
        Path(own.name).unlink(missing_ok=True)
        own.close()


def private_temporary() -> Path:
    """A folder for runs outside the user's repository, whose settings tests would find by looking upwards.

    It is this user's alone. Raises SourceError where somebody else has made it.
    """
    folder = Path(tempfile.gettempdir()) / f"tandem-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise SourceError(f"{folder} is not a folder of this user alone: remove it, or set TMPDIR to another place")
    return folder


def remove(folder: Path) -> None:
    """Remove a tree that somebody else wrote: folders without permissions too, links never followed."""

    def permitted(function: Callable[[str], object], path: str, error: object) -> None:
        with contextlib.suppress(OSError):
            parent = Path(path).parent
            parent.chmod(stat.S_IRWXU)
            if not Path(path).is_symlink():
                Path(path).chmod(stat.S_IRWXU)
            if function in (os.open, os.scandir, os.listdir):
                shutil.rmtree(path, ignore_errors=True)
            else:
                function(path)

    shutil.rmtree(folder, onerror=permitted)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _remove_the_dead(parent: Path) -> None:
    with locked(parent / ".new.lock", 60):
        folders = [folder for folder in parent.iterdir() if folder.is_dir() and not folder.is_symlink()]
        for folder in folders:
            lock = folder.with_name(f"{folder.name}.lock")
            with lock.open("a") as handle:
                if _taken(handle.fileno()):
                    remove(folder)
                    lock.unlink(missing_ok=True)
