"""`file://PATH`: objects as files below a folder, on this machine or a mount that many share."""

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tandem.errors import SettingsError
from tandem.models.disk import explained, pieces, walk
from tandem.models.objects import Entry, Objects
from tandem.records import Versioned

INCOMING = ".incoming"  # files on their way in, each locked by its writer


@dataclass(frozen=True)
class FolderObjects:
    """Objects in the folder `root`, called `url` by people."""

    url: str
    root: Path

    def __str__(self) -> str:
        return self.url.rstrip("/")

    def list(self, prefix: str) -> Iterator[Entry]:
        """Files below `root`; hidden ones are none of ours."""
        with explained(self.root):
            yield from walk(self.root, prefix)

    def read(self, path: str, offset: int = 0, tag: str | None = None) -> Iterator[bytes]:
        """As Objects.read; `tag` is the modification time in ns."""
        return pieces(self.root / path, offset, tag)

    def write(self, path: str, pieces: Iterator[bytes], size: int) -> None:
        """Into a hidden file, to disk, then renamed; what killed writers left is swept first."""
        file = self.root / path
        with explained(file):
            self._sweep()
            self._write(file, pieces)

    def get(self, path: str) -> Versioned[bytes | None]:
        """The document and its SHA-256 as token."""
        file = self.root / path
        try:
            with explained(file):
                content = file.read_bytes()
        except FileNotFoundError:
            return Versioned(None, "")
        return Versioned(content, hashlib.sha256(content).hexdigest())

    def put(self, path: str, content: bytes, token: str) -> bool:
        """Compare and rename under a lock (flock) beside the document; readers need none."""
        file = self.root / path
        with explained(file):
            make_folders(file.parent)
            with _locked(file.with_name(f".{file.name}.lock")):
                if self.get(path).token != token:
                    return False
                self._write(file, iter([content]))
                return True

    def _write(self, file: Path, pieces: Iterator[bytes]) -> None:
        make_folders(self.root / INCOMING)
        make_folders(file.parent)
        with self._incoming() as (descriptor, name):
            for piece in pieces:
                view = memoryview(piece)
                while view:
                    view = view[os.write(descriptor, view) :]
            os.fchmod(descriptor, 0o644)
            os.fsync(descriptor)
            name.replace(file)
        _sync_folder(file.parent)

    @contextmanager
    def _incoming(self) -> Iterator[tuple[int, Path]]:
        while True:
            descriptor, path = tempfile.mkstemp(dir=self.root / INCOMING)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink:  # else a sweep came between creation and lock
                break
            os.close(descriptor)
        try:
            yield descriptor, Path(path)
        finally:
            Path(path).unlink(missing_ok=True)
            os.close(descriptor)

    def _sweep(self) -> None:
        """Removes what killed writers left: a lock that can be had belongs to nobody alive."""
        for left in (self.root / INCOMING).glob("*"):
            try:
                descriptor = os.open(left, os.O_RDWR)
            except FileNotFoundError:
                continue
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                left.unlink(missing_ok=True)
            except BlockingIOError:
                pass
            finally:
                os.close(descriptor)


def open_folder(url: str, root: Path) -> Objects:
    """The folder that `file://relative` (to `root`) or `file:///absolute` names; it need not exist yet."""
    _, slashes, path = url.partition("://")
    if not slashes or not path.strip("/") or "\0" in path:
        raise SettingsError(f"[model].store {url!r}: file://relative/folder or file:///absolute/folder")
    return FolderObjects(url, root / path)


def make_folders(folder: Path) -> None:
    """The folder and those above it, durably."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in missing:
        _sync_folder(each.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _locked(lock: Path) -> Iterator[None]:
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
