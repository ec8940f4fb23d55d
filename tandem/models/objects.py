"""What a store needs from the place it lies in: five operations on objects named by path.

Everything that makes a store (publishing, order, versions) is built on these in published.py and modified.py;
a new place (a cloud's object storage) is one more file that fits this Protocol.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from tandem.records import Versioned


@dataclass(frozen=True)
class Entry:
    """An object as a listing shows it. `tag` is another one whenever the bytes may be: an ETag, or mtime in ns."""

    path: str
    size: int
    modified: datetime
    tag: str


class Objects(Protocol):
    """Objects by relative POSIX path, each written whole or not at all.

    `str(objects)` is the place as a person writes it, without secrets. Every method raises Unreachable where the
    same call may succeed later, and ModelError where it may not: no permission, no room.
    """

    def list(self, prefix: str) -> Iterator[Entry]:
        """Every object whose path begins with `prefix`, in no order; nothing where there is none."""

    def read(self, path: str, offset: int = 0, tag: str | None = None) -> Iterator[bytes]:
        """Pieces of 64 KiB to 4 MiB from `offset` to the end, all of one and the same object.

        Raises ModelDamaged where it is gone, is not the one that `tag` names, or changes on the way.
        """

    def write(self, path: str, pieces: Iterator[bytes], size: int) -> None:
        """Put `size` bytes there, durably; where `pieces` raises, nothing is there or what was there before."""

    def get(self, path: str) -> Versioned[bytes | None]:
        """A small document whole, with the token for `put`; None and "" where there is none."""

    def put(self, path: str, content: bytes, token: str) -> bool:
        """Compare-and-swap a small document: False, and nothing done, where the stored token is not `token`."""
