"""Bytes on their way, checked as they pass: a stream that is wrong never comes to its end."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace

from tandem.errors import ModelDamaged
from tandem.records import Blob


def lagging(pieces: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Each piece with whether it is the last; empty pieces are dropped."""
    held = b""
    for piece in pieces:
        if held and piece:
            yield held, False
        held = piece or held
    if held:
        yield held, True


def exact(pieces: Iterator[bytes], size: int, sha256: str | None, what: str) -> Iterator[bytes]:
    """The pieces, and ModelDamaged in place of the last where they are not `size` bytes of that SHA-256 (hex)."""
    digest = hashlib.sha256() if sha256 is not None else None
    passed = 0
    for piece, last in lagging(pieces):
        passed += len(piece)
        if digest is not None:
            digest.update(piece)
        if last or passed > size:
            _compare(passed, size, digest.hexdigest() if digest is not None else None, sha256, what)
        yield piece
    if passed == 0:
        _compare(0, size, digest.hexdigest() if digest is not None else None, sha256, what)


def _compare(passed: int, size: int, found: str | None, sha256: str | None, what: str) -> None:
    if passed != size:
        raise ModelDamaged(f"{what}: {passed} bytes where {size} were promised")
    if found != sha256:
        raise ModelDamaged(f"{what}: its SHA-256 is {found}, where {sha256} was promised")


def hashed(blob: Blob) -> Blob:
    """The same blob with its SHA-256; reads it once where that is not known yet."""
    if blob.sha256 is not None:
        return blob
    digest = hashlib.sha256()
    for piece in exact(blob.open(0), blob.size, None, blob.name):
        digest.update(piece)
    return replace(blob, sha256=digest.hexdigest())
