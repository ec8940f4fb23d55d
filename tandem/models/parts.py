"""A large file on its way into a cloud: in parts, several side by side, a bounded few in memory."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

PART = 5 << 20  # the least that S3 takes, and more than the 4 MiB above which Azure is quick
ABREAST = 3  # with the one that fills: 20 MiB


def part_size(size: int, most: int) -> int:
    """Bytes of a part, so that `size` needs at most `most` of them."""
    return max(PART, -(-size // most))


def in_parts(pieces: Iterable[bytes], length: int) -> Iterator[bytes]:
    """The pieces' bytes in parts of `length`, the last one shorter; nothing where there are none."""
    held: list[bytes] = []
    left = length
    for piece in pieces:
        start = 0
        while len(piece) - start >= left:
            held.append(piece[start : start + left])
            start, left = start + left, length
            whole = b"".join(held)
            held.clear()
            yield whole
            del whole
        if start < len(piece):
            held.append(piece[start:])
            left -= len(piece) - start
    if held:
        yield b"".join(held)


def abreast(parts: Iterator[bytes], send: Callable[[int, bytes], T]) -> list[T]:
    """What `send(index, part)` gives for each part, in order; the first error, its own or that of `parts`, ends it."""
    sent: list[T] = []
    flying: deque[Future[T]] = deque()
    pool = ThreadPoolExecutor(ABREAST, "tandem-part")
    try:
        for index, part in enumerate(parts):
            flying.append(pool.submit(send, index, part))
            del part
            if len(flying) == ABREAST:
                sent.append(flying.popleft().result())
        sent.extend(each.result() for each in flying)
    finally:
        pool.shutdown(cancel_futures=True)
    return sent
