"""Small files that share a layer, asked for before their turn: a store's time to answer passes for several at once."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import replace
from functools import partial

from tandem.records import Blob

AHEAD = 4  # files asked for while one is read
SMALL = 1 << 20  # bytes of a file that waits in memory for its turn, at most


def early(files: Sequence[Blob], pool: Executor) -> list[Blob]:
    """The same files for a reader who opens them in this order: AHEAD of them are fetched by `pool` meanwhile.

    At most AHEAD x SMALL bytes wait for their turn. What goes wrong with a file is raised when it is its turn.
    """
    asked = _Early(files, pool)
    return [replace(file, open=partial(asked.open, number)) for number, file in enumerate(files)]


class _Early:
    def __init__(self, files: Sequence[Blob], pool: Executor) -> None:
        self.files, self.pool = files, pool
        self.coming: dict[int, Future[bytes]] = {}

    def open(self, number: int, offset: int) -> Iterator[bytes]:
        mine = self.coming.pop(number, None)
        for each in range(number + 1, min(number + 1 + AHEAD, len(self.files))):
            if each not in self.coming and 0 < self.files[each].size <= SMALL:
                self.coming[each] = self.pool.submit(_content, self.files[each])
        if mine is None:
            yield from self.files[number].open(offset)
        else:
            yield mine.result()[offset:]


def _content(file: Blob) -> bytes:
    """The whole file, or a little more than there should be: whoever checks it shall see that."""
    held, length = list[bytes](), 0
    for piece in file.open(0):
        held.append(piece)
        length += len(piece)
        if length > file.size:
            break
    return b"".join(held)  # a copy only where there are several
