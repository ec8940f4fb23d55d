"""Files in a folder that several processes write at once, any of which may be killed at any write.

What is being written has a name of its own under `.uploads/`, locked by its writer; it gets its real name whole and
flushed, or never. A file in `.uploads/` that nobody locks was left by a writer that died, and is removed.
"""

import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

from tandem.errors import RegistryError

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def told(where: object, doing: str) -> Iterator[None]:
    """Turns the operating system's error into a RegistryError that says where, what was done, and the remedy."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            remedy = "make room ('tandem prune' removes old candidates) and run it again: nothing half was kept"
            raise RegistryError(f"{where}: no space left on the disk while {doing}: {remedy}") from error
        raise RegistryError(f"{where}: {doing}: {error}: look at the folder's owner and its disk") from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the folder's lock, alone among processes and threads; the kernel releases it when its holder dies."""
    with (folder / ".lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def upload(folder: Path) -> Iterator[FileIO]:
    """A new file in the folder's `.uploads/`, gone at the end unless `keep` gave it its name.

    The folder's lock is held while the file is made, so that nobody takes it for a dead writer's.
    """
    with locked(folder):
        _clear(folder / ".uploads")
        file = FileIO(folder / ".uploads" / secrets.token_hex(16), "xb")
        fcntl.flock(file, fcntl.LOCK_EX)
    path = Path(os.fsdecode(file.name))
    with file:
        try:
            yield file
        finally:
            path.unlink(missing_ok=True)


def write_all(file: FileIO, piece: bytes) -> None:
    """The whole piece; unbuffered, so that a full disk is an error here and not once more at close."""
    view = memoryview(piece)
    while view:
        view = view[file.write(view) :]


def keep(file: FileIO, target: Path) -> None:
    """Give an upload its name, once its bytes are on the disk. The folder's lock must be held."""
    os.fsync(file.fileno())
    Path(os.fsdecode(file.name)).rename(target)
    _flush_folder(target.parent)


def replace_file(folder: Path, name: str, content: bytes) -> None:
    """Put a small file into the folder in one step: old or new, whatever dies. The folder's lock must be held."""
    new = folder / ".uploads" / f"{name}.new"
    with FileIO(new, "wb") as file:
        write_all(file, content)
        os.fsync(file.fileno())
    new.rename(folder / name)
    _flush_folder(folder)


def _flush_folder(folder: Path) -> None:
    """The folder's own entries on the disk: a rename alone does not survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _clear(uploads: Path) -> None:
    for path in uploads.iterdir():
        with path.open("rb") as file, suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)
