"""What building keeps on disk between runs: made by one at a time, whole or not there at all."""

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tandem.errors import BuildFailed

TREES = 4  # unpacked folders that are kept, each some hundred MB; another one is made again from pip's cache


@contextmanager
def alone(folder: Path, key: str) -> Iterator[None]:
    """One process at a time for this key; the lock falls with its holder, however that ends."""
    with told(folder), (_made(folder) / f"{key}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def scratch(folder: Path, key: str) -> Iterator[Path]:
    """An empty folder that only its owner reads, gone afterwards; what a killed run left there goes first."""
    fresh = folder / f".{key}.new"
    with told(folder):
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        try:
            yield fresh
        finally:
            shutil.rmtree(fresh, ignore_errors=True)


def used(folder: Path, key: str) -> None:
    """Note that this one is used now, and remove the unpacked folders unused for longest, beyond TREES."""
    os.utime(folder / key)
    trees = [each for each in folder.iterdir() if each.is_dir() and not each.name.startswith(".")]
    for tree in sorted(trees, key=lambda each: each.stat().st_mtime, reverse=True)[TREES:]:
        with (folder / f"{tree.name}.lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            shutil.rmtree(tree, ignore_errors=True)


def read(file: Path) -> bytes | None:
    """A small file's bytes, or None where there is none."""
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return None


def keep(file: Path, content: bytes) -> None:
    """Write a small file, at once and whole."""
    with told(file.parent):
        descriptor, name = tempfile.mkstemp(dir=_made(file.parent), prefix=".")
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(content)
            Path(name).replace(file)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


@contextmanager
def told(folder: Path) -> Iterator[None]:
    """A full disk as an error that says which folder needs room."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise BuildFailed(f"no space left in {folder}: free some, or remove it (it is made again): {error}") from None


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
