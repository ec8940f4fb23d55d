"""SHA-256 in a thread of its own, while the bytes go on to the network (hashlib lets other threads run).

Where a blob's digest is known beforehand nothing is hashed here: a registry compares what comes with the digest that
an upload is closed with, and refuses it (distribution-spec, DIGEST_INVALID), and so does whoever pulls it.
"""

import hashlib
from queue import Queue
from threading import Thread
from types import TracebackType


class Hashing:
    """Hashes pieces in the order given, at most two behind. Use it in a `with`: its thread ends there."""

    def __init__(self) -> None:
        self.passed = 0
        self._hash = hashlib.sha256()
        self._pieces: Queue[bytes | None] = Queue(2)
        self._thread = Thread(target=self._run, name="hash", daemon=True)

    def __enter__(self) -> "Hashing":
        self._thread.start()
        return self

    def __exit__(self, *failure: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._thread.is_alive():
            self._pieces.put(None)
            self._thread.join()

    def update(self, piece: bytes) -> None:
        """Take the next piece; waits while two are still to be hashed."""
        self.passed += len(piece)
        self._pieces.put(piece)

    def hexdigest(self) -> str:
        """The hash, in hex, of every piece taken; none can be taken after."""
        self.__exit__()
        return self._hash.hexdigest()

    def _run(self) -> None:
        while (piece := self._pieces.get()) is not None:
            self._hash.update(piece)


class Known(Hashing):
    """In place of Hashing where the hash is known: counts what passes."""

    def __init__(self, sha256: str) -> None:
        super().__init__()
        self._known = sha256

    def __enter__(self) -> "Known":
        return self

    def update(self, piece: bytes) -> None:
        """Count the next piece."""
        self.passed += len(piece)

    def hexdigest(self) -> str:
        """The hash that is known, in hex."""
        return self._known
