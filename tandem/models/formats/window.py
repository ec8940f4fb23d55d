"""Reading a stream that comes in pieces, in constant memory, without stopping it.

A check is a generator: it yields for the next piece and is sent bytes, or b"" at the end. It raises Unfit where the
bytes are not what they must be, and may return early where it has seen enough.
"""

from collections.abc import Generator
from typing import TypeVar

T = TypeVar("T")
Check = Generator[None, bytes, None]
Step = Generator[None, bytes, T]


class Unfit(ValueError):
    """Why a file may not ride, without the file's name."""


class Window:
    """The bytes that came and are not consumed yet: `data` from index `at`; `position` in the file."""

    def __init__(self) -> None:
        self.data = b""
        self.at = 0
        self.ended = False
        self._before = 0

    @property
    def position(self) -> int:
        """Bytes consumed since the file's beginning."""
        return self._before + self.at

    @property
    def left(self) -> int:
        """Bytes at hand."""
        return len(self.data) - self.at

    def more(self) -> Step[bool]:
        """Waits for another piece; False at the end of the file."""
        piece = yield
        if not piece:
            self.ended = True
            return False
        self._before += self.at
        self.data = self.data[self.at :] + piece if self.left else piece
        self.at = 0
        return True

    def fill(self, count: int) -> Step[bool]:
        """Waits until `count` bytes are at hand; False where the file ends before."""
        while self.left < count:
            if self.ended or not (yield from self.more()):
                return False
        return True

    def take(self, count: int) -> Step[bytes]:
        """The next `count` bytes; raises Unfit where the file ends before."""
        if self.left < count and not (yield from self.fill(count)):
            raise Unfit(f"it ends at byte {self.position + self.left}, in the middle of something")
        taken = self.data[self.at : self.at + count]
        self.at += count
        return taken

    def skip(self, count: int) -> Step[None]:
        """Lets `count` bytes pass unseen; raises Unfit where the file ends before."""
        while count > self.left:
            count -= self.left
            self.at = len(self.data)
            if self.ended or not (yield from self.more()):
                raise Unfit(f"it ends at byte {self.position}, {count} bytes too early")
        self.at += count
