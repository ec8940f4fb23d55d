"""Several ranges of an object at once, but only while its reader starves: clouds limit each connection.

One stream is the rule. Where the reader waits longer for bytes than it takes to use them, in several windows one after
the other (one alone is any moment in which a processor was taken), the next ranges are fetched side by side, until one
connection would be quick enough again, or where together they are hardly quicker than one was: a processor or a whole
wire is the limit then, and ranges only cost. What goes wrong in a range is left to one stream from that byte on: it
waits and tries again, or says what is the matter.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import NamedTuple

from tandem.errors import TandemError
from tandem.models.connections import Cord

MIB = 1 << 20
GAIN = 1.25  # times as fast as one stream was: what ranges are worth
CALM = 4  # times as long as before one stream is kept to, after ranges that were refused, or not worth it


class Passed(NamedTuple):
    """A piece, empty where an answer begins; the object's ETag, and its size, or None if it is not served in ranges."""

    piece: bytes
    tag: str
    size: int | None


@dataclass(frozen=True)
class Source:
    """An object. `stream(position, tag)` gives it to its end, and goes on by itself where the wire breaks;
    `part(start, stop, tag, cord)` exactly those bytes, in one request, or raises a TandemError.
    """

    stream: Callable[[int, str | None], Generator[Passed, None, None]]
    part: Callable[[int, int, str, Cord], Iterator[bytes]]


@dataclass(frozen=True)
class ReadAhead:
    """When to read ahead, and how far. Whatever is read by the same one shares its `room`: a place for each range.

    A place is taken and given back without a lock, since it may be the garbage collector that closes a reader.
    """

    window: int = 16 * MIB  # bytes after which it is decided anew: all that the ranges abreast hold
    patience: int = 3  # windows in which the reader starves before ranges begin
    length: int = 4 * MIB  # of a range
    abreast: int = 4  # ranges of one object at once
    fast: int = 256 * MIB  # bytes a second from which processors are the limit, and no connection
    room: deque[int] = field(default_factory=lambda: deque(range(8)))

    def read(self, source: Source, offset: int, tag: str | None, clock: Callable[[], float]) -> Iterator[bytes]:
        """The object's bytes from `offset` to its end, in order; raises what its stream raises."""
        reader = _Reader(self, source, offset, tag, clock)
        while not reader.whole:
            yield from reader.in_one_stream()
            if reader.places:
                yield from reader.side_by_side()


class _Reader:
    def __init__(
        self, plan: ReadAhead, source: Source, position: int, tag: str | None, clock: Callable[[], float]
    ) -> None:
        self.plan, self.source, self.clock = plan, source, clock
        self.position, self.tag, self.size, self.whole = position, tag, 0, False
        self.window, self.places = plan.window, list[int]()
        self.since, self.taken, self.brought, self.used = 0.0, 0, 0.0, 0.0  # when it was last decided; bytes, seconds
        self.rate = 0.0  # bytes a second before that
        self.hungry = 0  # windows one after the other in which it starved

    def in_one_stream(self) -> Iterator[bytes]:
        """Until the object ends, or the reader starves and `places` of the room are its own."""
        self._decide_anew()
        with closing(self.source.stream(self.position, self.tag)) as stream:
            while True:
                asked = self.clock()
                passed = next(stream, None)
                self.brought += self.clock() - asked
                if passed is None:
                    self.whole = True
                    return
                self.tag, self.size = passed.tag, passed.size or 0
                if not passed.piece:  # an answer begins: how long it was waited for is not the connection's rate
                    self._decide_anew()
                yield from self._used(passed.piece)
                if self.taken < self.window:
                    continue
                self.hungry = self.hungry + 1 if self._starved() else 0
                if self.hungry >= self.plan.patience and self.size - self.position > self.plan.length:
                    self.hungry = 0
                    self._take_places()
                    if len(self.places) > 1:
                        return
                    self._give_places()

    def side_by_side(self) -> Iterator[bytes]:
        """Until the object ends, one connection is enough, ranges gain nothing, or one fails."""
        flying, ahead, starved = deque[_Range](), self.position, True
        alone, warm = self.rate, False
        pool = ThreadPoolExecutor(self.plan.abreast, "read-ahead")
        try:
            while self.position < self.size:
                while starved and ahead < self.size and len(flying) < len(self.places):
                    start, ahead = ahead, min(ahead + self.plan.length, self.size)
                    flying.append(_Range(pool, self.source, start, ahead, self.tag or "", self.clock))
                if not flying:
                    break
                for piece in flying[0]:
                    yield from self._used(piece)
                self.brought += flying[0].seconds
                if not flying.popleft().whole():
                    self.window *= CALM
                    break
                if starved and self.taken >= self.plan.window:
                    starved = self._starved()
                    if warm and self.rate < GAIN * alone:
                        starved, self.window = False, self.window * CALM
                    elif warm:
                        self.window = self.plan.window
                    warm = True  # those before opened connections first
                self._take_places()
            else:
                self.whole = True
        finally:
            for each in flying:
                each.cord.pull()
            pool.shutdown(wait=False, cancel_futures=True)
            self._give_places()

    def _used(self, piece: bytes) -> Iterator[bytes]:
        if piece:
            self.position += len(piece)
            given = self.clock()
            yield piece
            self.taken, self.used = self.taken + len(piece), self.used + self.clock() - given

    def _starved(self) -> bool:
        """Whether a connection's bytes came slower than they were used; decided anew from here on.

        Of one stream only the time counts that its reader waited, of ranges all that they took: so ranges begin where
        the reader is twice as quick as a connection, and end where it is no quicker.
        """
        starved = self.brought > max(self.used, self.taken / self.plan.fast)
        self._decide_anew()
        return starved

    def _decide_anew(self) -> None:
        now = self.clock()
        self.rate = self.taken / max(now - self.since, 1e-9)
        self.since, self.taken, self.brought, self.used = now, 0, 0.0, 0.0

    def _take_places(self) -> None:
        with suppress(IndexError):
            while len(self.places) < self.plan.abreast:
                self.places.append(self.plan.room.pop())

    def _give_places(self) -> None:
        while self.places:
            self.plan.room.append(self.places.pop())


class _Range:
    """Bytes of an object that a thread fetches, and that wait for their reader."""

    def __init__(
        self, pool: ThreadPoolExecutor, source: Source, start: int, stop: int, tag: str, clock: Callable[[], float]
    ) -> None:
        self.cord, self.seconds = Cord(), 0.0
        self._came = SimpleQueue[bytes | None]()
        self._fetched = pool.submit(self._fetch, source.part(start, stop, tag, self.cord), clock)

    def __iter__(self) -> Iterator[bytes]:
        """As they come, until they are whole or break off."""
        return iter(self._came.get, None)

    def whole(self) -> bool:
        """Whether all were there, once their iterator has ended."""
        error = self._fetched.exception()
        if error is not None and not isinstance(error, TandemError):
            raise error
        return error is None

    def _fetch(self, pieces: Iterator[bytes], clock: Callable[[], float]) -> None:
        began = clock()
        try:
            for piece in pieces:
                self._came.put(piece)
        finally:
            self.seconds = clock() - began
            self._came.put(None)
