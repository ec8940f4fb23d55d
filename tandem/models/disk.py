"""Files on disk, with the care that strangers' folders need: links, changes while reading, special files."""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from errno import EACCES, EDQUOT, EFBIG, EIO, EMFILE, ENFILE, ENOSPC, EPERM, EROFS, ESTALE, ETIMEDOUT
from pathlib import Path

from tandem.errors import ModelDamaged, ModelError, ModelRefused, Unreachable
from tandem.models.objects import Entry

PIECE = 1 << 20


def walk(root: Path, prefix: str = "", skipped: Callable[[str], None] = lambda path: None) -> Iterator[Entry]:
    """Every regular file below `root` whose relative path begins with `prefix`; hidden ones go to `skipped`.

    Links inside `root` are followed. Raises ModelRefused where one leaves it, or a file is a pipe or device.
    """
    start = prefix.rpartition("/")[0]
    if (root / start).is_dir():
        for entry in _below(root.resolve(), root / start, start, (), skipped):
            if entry.path.startswith(prefix):
                yield entry


def _below(
    root: Path, folder: Path, path: str, above: tuple[Path, ...], skipped: Callable[[str], None]
) -> Iterator[Entry]:
    real = folder.resolve()
    if not real.is_relative_to(root):
        raise ModelRefused(f"{folder} is a link that leaves {root}: put a copy in its place ('cp -rL')")
    if real in above:
        raise ModelRefused(f"{folder} is a link to a folder that holds it: remove it")
    for child in sorted(folder.iterdir()):
        below = f"{path}/{child.name}".lstrip("/")
        if child.name.startswith("."):
            skipped(below)
        elif child.is_dir():
            yield from _below(root, child, below, (*above, real), skipped)
        else:
            yield _entry(root, child, below)


def _entry(root: Path, file: Path, path: str) -> Entry:
    if not file.resolve().is_relative_to(root):
        raise ModelRefused(f"{file} is a link that leaves {root}: put a copy in its place ('cp -L')")
    try:
        found = file.stat()
    except FileNotFoundError:
        raise ModelDamaged(f"{file} went away while its folder was read, or is a link to nothing") from None
    if not stat.S_ISREG(found.st_mode):
        raise ModelRefused(f"{file} is not a regular file: a model holds only files")
    return Entry(path, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC), str(found.st_mtime_ns))


def pieces(file: Path, offset: int = 0, tag: str | None = None) -> Iterator[bytes]:
    """The file's bytes from `offset`; raises ModelDamaged where it is gone, is not `tag`'s, or changes meanwhile."""
    try:
        with explained(file), file.open("rb", buffering=0) as opened:
            before = os.fstat(opened.fileno())
            if tag is not None and str(before.st_mtime_ns) != tag:
                raise ModelDamaged(f"{file} was changed since it was looked at: wait until it is whole, and try again")
            left = before.st_size - opened.seek(offset)
            while left > 0:
                piece = opened.read(min(PIECE, left))
                left -= len(piece)
                after = os.fstat(opened.fileno())
                if not piece or (after.st_mtime_ns, after.st_size) != (before.st_mtime_ns, before.st_size):
                    raise ModelDamaged(f"{file} is being written while it is read: wait until it is whole")
                yield piece
    except FileNotFoundError:
        raise ModelDamaged(f"{file} is gone") from None


@contextmanager
def explained(file: Path) -> Iterator[None]:
    """Turns the operating system's refusals into errors that say what to do; FileNotFoundError passes."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        place = error.filename or file
        if error.errno in (ENOSPC, EDQUOT, EFBIG):
            raise ModelError(
                f"no room for {place} ({error.strerror}): free some, then repeat; nothing is half"
            ) from error
        if error.errno in (EACCES, EPERM, EROFS):
            raise ModelError(f"no permission for {place} ({error.strerror}): give this user access to it") from error
        if error.errno in (EIO, ESTALE, ETIMEDOUT, EMFILE, ENFILE):
            raise Unreachable(f"{place}: {error.strerror}") from error
        raise ModelError(f"{place}: {error.strerror or error}") from error
