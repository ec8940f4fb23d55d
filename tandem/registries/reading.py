"""A Blob's bytes in the lengths that an upload asks for, hashed once, opened anew only to go back."""

from collections.abc import Iterator

from tandem.errors import DigestMismatch
from tandem.records import Blob
from tandem.registries.hashing import Hashing


class Reading:
    """Follows one Blob through an upload. Each byte is hashed the first time it passes."""

    def __init__(self, blob: Blob, hashing: Hashing) -> None:
        self.blob, self.hashing = blob, hashing
        self._pieces: Iterator[bytes] = iter(())
        self._rest, self._position = b"", -1

    def take(self, offset: int, length: int) -> Iterator[bytes]:
        """`length` bytes from an offset on. Raises DigestMismatch where the Blob ends sooner or later than it says."""
        if self._position != offset:
            self._pieces = (piece for piece in self.blob.open(offset) if piece)
            self._rest, self._position = b"", offset
        while length:
            piece = self._rest or next(self._pieces, b"")
            if not piece:
                raise DigestMismatch(f"{self.blob.name} gave {self._position} bytes, not {self.blob.size}")
            piece, self._rest = piece[:length], piece[length:]
            if fresh := piece[max(0, self.hashing.passed - self._position) :]:
                self.hashing.update(fresh)
            self._position += len(piece)
            length -= len(piece)
            if self._position == self.blob.size and (self._rest or next(self._pieces, b"")):
                raise DigestMismatch(f"{self.blob.name} gave more than its {self.blob.size} bytes")
            yield piece


def check(blob: Blob, size: int, found: str, wanted: str | None) -> None:
    """DigestMismatch where a Blob gave other bytes than it said."""
    if size != blob.size or found != (wanted or found):
        said = f"{blob.size} bytes" + (f" of {wanted}" if wanted else "")
        raise DigestMismatch(f"{blob.name} gave {size} bytes of {found}, not {said}")
