"""A blob on its way out of a registry, on from where the wire broke."""

import hashlib
from collections.abc import Iterator

from tandem.errors import DigestMismatch, Unreachable
from tandem.registries.answers import pieces
from tandem.registries.wire import Wire

CUTS = 5  # times that a read may be cut without a byte of progress


def download(wire: Wire, digest: str, offset: int, size: int | None) -> Iterator[bytes]:
    """A blob's bytes from an offset on; `size` must be known where the offset is not 0.

    Raises DigestMismatch at the end of one that was read from 0 and is not what its digest says, NotInRegistry,
    RegistryError, Unreachable.
    """
    doing, passed = f"reading blob {digest}", hashlib.sha256()
    position, cuts = offset, 0
    while size is None or position < size:
        asked = {"Range": f"bytes={position}-"} if position else {}
        try:
            with wire.ask("GET", wire.url(f"blobs/{digest}"), doing, ok=(200, 206),
                          headers={"Accept-Encoding": "identity", **asked}) as answer:  # fmt: skip
                skip = position if answer.status_code == 200 else 0  # a server may ignore Range
                for piece in pieces(answer, f"{wire}: {doing}", wire.clock):
                    fresh, skip = piece[skip:], max(0, skip - len(piece))
                    if fresh:
                        passed.update(fresh)
                        position, cuts = position + len(fresh), 0
                        yield fresh
                break
        except Unreachable:
            cuts += 1
            if cuts == CUTS:
                raise
            wire.sleep(0.1 * 2**cuts)
    if not offset and f"sha256:{passed.hexdigest()}" != digest:
        raise DigestMismatch(f"{wire}: blob {digest} holds other bytes: damaged there, or on the way")
