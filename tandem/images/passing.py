"""A model's file on its way: checked against its model manifest as its bytes pass, never held, never read twice."""

import hashlib
from collections.abc import Callable, Iterator
from threading import Event
from typing import Protocol

from tandem.errors import ModelDamaged, Unreachable
from tandem.records import Blob


class Hash(Protocol):
    """What hashlib's are."""

    def update(self, piece: bytes, /) -> None: ...
    def hexdigest(self) -> str: ...


class Unhashed:
    """In place of a hash: for bytes that somebody else compares."""

    def update(self, piece: bytes, /) -> None: ...

    def hexdigest(self) -> str:
        """Nothing."""
        return ""


class Passing:
    """Follows a Blob through every opening of it, so that an upload that was cut and resumed is checked as a whole.

    `new_hash` makes the hash; with Unhashed only the size is compared.
    """

    def __init__(self, blob: Blob, of: str, stopped: Event, new_hash: Callable[[], Hash] = hashlib.sha256) -> None:
        self.blob, self.of, self.stopped, self.new_hash = blob, of, stopped, new_hash
        self._hash, self._passed = new_hash(), 0

    @property
    def sha256(self) -> str:
        """The hash, in hex, of what has passed: the whole file's, once it has been read to its end."""
        return self._hash.hexdigest()

    def open(self, offset: int) -> Iterator[bytes]:
        """The Blob's bytes from an offset on; raises ModelDamaged where they are too many, too few, or others."""
        if not offset:
            self._hash, self._passed = self.new_hash(), 0
        position = min(offset, self._passed)  # what was jumped over is read too, for the hash
        for piece in self.blob.open(position):
            if self.stopped.is_set():
                raise Unreachable(f"{self.of}: {self.blob.name}: stopped, since another file of it failed")
            fresh = piece[self._passed - position :]
            self._hash.update(fresh)
            self._passed += len(fresh)
            skipped = max(0, offset - position)
            position += len(piece)
            if position > self.blob.size:
                break
            if skipped < len(piece):
                yield piece[skipped:]
        self.check(position)

    def check(self, size: int | None = None) -> None:
        """Raises ModelDamaged where what has passed, or `size` bytes, is not the whole file of the model manifest."""
        size = self._passed if size is None else size
        known, found = self.blob.sha256, self.sha256
        if size != self.blob.size or (found and found != (known or found)):
            seen = f"gave {size} bytes of SHA-256 {found}" if size == self.blob.size else f"gave {size} bytes"
            said = f"{self.blob.size} bytes" + (f" of SHA-256 {known}" if known else "")
            remedy = "it was changed or damaged in the store: delete it there, then publish the model again"
            raise ModelDamaged(f"{self.of}: {self.blob.name} {seen}, and its model manifest says {said}: {remedy}")
