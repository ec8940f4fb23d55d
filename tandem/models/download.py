"""One streamed GET of an object in a cloud: on from where the wire broke, and never of two objects. More of them side
by side where that is too slow for its reader (ahead.py).
"""

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from urllib.request import getproxies, proxy_bypass

import httpx

from tandem.errors import ModelDamaged, ModelError, TandemError, Unreachable
from tandem.models.ahead import Passed, ReadAhead, Source
from tandem.models.connections import Connections, Cord
from tandem.models.patience import wait_for
from tandem.records import Versioned

PIECE = 512 * 1024
PATIENCE = 30.0  # seconds of waiting in which at least SLOWEST bytes must come
SLOWEST = 64 * 1024
CUTS = 5  # times in a row that a read may be cut without SLOWEST bytes of progress
TIMEOUT = httpx.Timeout(60.0, connect=10.0)
LARGEST_DOCUMENT = 64 << 20


class Gone(ModelDamaged):
    """The object is not there."""


@dataclass(frozen=True)
class Grant:
    """What lets a request in: secret headers, a secret query."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: str = field(default="", repr=False)


class Granting(httpx.BaseTransport):
    """Adds the request's grant, which neither the request nor an error then holds. No client stands above it: what
    that does to each request (cookies, redirects, joining URLs) costs as much as the request, for a small file.
    """

    def __init__(self, origin: str) -> None:
        url = httpx.URL(origin)
        proxy = None if proxy_bypass(url.host) else getproxies().get(url.scheme)
        self._proxy = httpx.HTTPTransport(proxy=proxy) if proxy else None
        self._direct = Connections(origin)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The answer to the request with its grant."""
        grant: Grant = request.extensions["grant"]
        headers = [*request.headers.raw, *((key.encode(), value.encode()) for key, value in grant.headers.items())]
        if self._proxy is None:
            target = request.url.raw_path + (b"?" + grant.query.encode() if grant.query else b"")
            return self._direct.ask(
                request.method, target, headers, request.extensions["timeout"], request.extensions["cord"]
            )
        url = request.url.copy_with(query=grant.query.encode() or None)
        rest = {key: value for key, value in request.extensions.items() if key == "timeout"}
        return self._proxy.handle_request(httpx.Request(request.method, url, headers=headers, extensions=rest))

    def close(self) -> None:
        """Ends its connections."""
        self._direct.close()
        if self._proxy is not None:
            self._proxy.close()


@dataclass(frozen=True)
class Wire:
    """Reads objects: `url(path)` without secrets, `grant(path)` for one request, `failure` says what a refusal means
    (Gone where only the object is missing), and `name` is the place as people write it.
    """

    name: str
    transport: httpx.BaseTransport
    url: Callable[[str], str]
    grant: Callable[[str], Grant]
    failure: Callable[[httpx.Response, str], TandemError]
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    ahead: ReadAhead = field(default_factory=ReadAhead)

    def read(self, path: str, offset: int = 0, tag: str | None = None) -> Iterator[bytes]:
        """Objects.read: pieces of 512 KiB or more; less only where an answer ends."""
        return self.ahead.read(Source(partial(self._passing, path), partial(self._part, path)), offset, tag, self.clock)

    def document(self, path: str) -> Versioned[bytes | None]:
        """Objects.get."""
        content, tag = bytearray(), ""
        try:
            for passed in self._passing(path, 0, None):
                tag = passed.tag
                content += passed.piece
                if len(content) > LARGEST_DOCUMENT:
                    raise ModelError(f"{self.name}/{path} holds more than {LARGEST_DOCUMENT} bytes: no such document")
        except Gone:
            return Versioned(None, "")
        return Versioned(bytes(content), tag)

    def _passing(self, path: str, offset: int, tag: str | None) -> Generator[Passed, None, None]:
        """Each piece; first an empty one."""
        what = f"{self.name}/{path}"
        position, end, cuts = offset, None, 0
        while end is None or position < end:
            begun = position
            try:
                with closing(self._asked(path, position, tag)) as answer:
                    if answer.status_code == 416:
                        if position > offset or not offset:
                            raise Unreachable(f"{what}: 416 at byte {position}, which is there: try again")
                        return  # `offset` is the object's size
                    tag, skip, end = _shape(answer, position, tag, what)
                    size = end if _in_ranges(answer, tag) else None
                    yield Passed(b"", tag, size)
                    for piece in _pieces(answer, what, self.clock):
                        fresh, skip = piece[skip:], max(0, skip - len(piece))
                        position += len(fresh)
                        yield Passed(fresh, tag, size)
                if end is None:
                    return
                if position < end:
                    raise Unreachable(f"{what}: ended at byte {position} of {end}: try again")
            except Unreachable as cut:
                cuts = 1 if position - begun >= SLOWEST else cuts + 1
                if cuts == CUTS:
                    raise
                wait_for(cut, cuts, self.sleep)

    def _part(self, path: str, start: int, stop: int, tag: str, cord: Cord) -> Iterator[bytes]:
        """Source.part: it tries once, and waits for nothing but the bytes."""
        what, position = f"{self.name}/{path}", start
        with closing(self._asked(path, start, tag, stop, cord)) as answer:
            said = answer.headers.get("Content-Range", "")
            if answer.status_code != 206 or not said.startswith(f"bytes {start}-{stop - 1}/"):
                raise Unreachable(f"{what}: answered {answer.status_code} {said} when asked for {start}-{stop - 1}")
            _shape(answer, start, tag, what)
            for piece in _pieces(answer, what, self.clock):
                position += len(piece)
                if position > stop:
                    break
                yield piece
        if position != stop:
            raise Unreachable(f"{what}: gave {position - start} bytes where {stop - start} were asked for")

    def _asked(
        self, path: str, position: int, tag: str | None, stop: int | None = None, cord: Cord | None = None
    ) -> httpx.Response:
        what = f"{self.name}/{path}"
        asked = {"Accept-Encoding": "identity"}
        if position or stop:
            asked["Range"] = f"bytes={position}-{stop - 1 if stop else ''}"
        if tag is not None:
            asked["If-Match"] = tag
        extensions = {"grant": self.grant(path), "timeout": TIMEOUT.as_dict(), "cord": cord}
        try:
            answer = self.transport.handle_request(
                httpx.Request("GET", self.url(path), headers=asked, extensions=extensions)
            )
        except httpx.TransportError as error:
            raise Unreachable(f"{what}: {told(error)}: is the address right, and the network up?") from None
        if answer.status_code in {200, 206, 416}:
            return answer
        try:
            if answer.status_code == 412:
                raise ModelDamaged(f"{what} was changed since it was looked at: wait until it is whole, and try again")
            raise self.failure(answer, what)
        except httpx.TransportError as error:
            raise Unreachable(f"{what}: {answer.status_code}, and broke off: {told(error)}: try again") from None
        finally:
            answer.close()


def told(error: Exception) -> str:
    """An error's text; some of httpx's have none."""
    return str(error) or type(error).__name__


def _shape(answer: httpx.Response, position: int, tag: str | None, what: str) -> tuple[str, int, int | None]:
    """The object's ETag, how many bytes of the answer were had before, and the object's size where it is said."""
    found = answer.headers.get("ETag", "")
    if "html" in answer.headers.get("Content-Type", "") and not found:
        raise ModelError(f"{what}: answered with a web page: is this the store's address, and not a proxy's?")
    if tag is not None and found != tag:
        raise ModelDamaged(f"{what} was overwritten while it was read: wait until it is whole, and try again")
    if answer.status_code == 206:
        size = answer.headers.get("Content-Range", "").rpartition("/")[2]
        return found, 0, int(size) if size.isdigit() else None
    size = answer.headers.get("Content-Length", "")
    return found, position, int(size) if size.isdigit() else None


def _in_ranges(answer: httpx.Response, tag: str) -> bool:
    """Whether the object may be asked for in ranges that are surely its own: If-Match takes no weak tag (RFC 9110)."""
    served = answer.status_code == 206 or answer.headers.get("Accept-Ranges") == "bytes"
    return served and tag.startswith('"')


def _pieces(answer: httpx.Response, what: str, clock: Callable[[], float]) -> Iterator[bytes]:
    """The body in pieces; Unreachable where it breaks off or trickles, after what came before it broke."""
    parts, waited, seen = answer.iter_raw(), 0.0, 0
    held, length = list[bytes](), 0  # joined once: a bytearray copies what it holds each time that it grows
    try:
        while True:
            asked = clock()
            part = next(parts, None)
            waited += clock() - asked  # the time that a slow reader takes does not count
            if part is None:
                break
            held.append(part)
            length += len(part)
            seen += len(part)
            if waited > PATIENCE:
                if seen < SLOWEST:
                    raise Unreachable(f"{what}: only {seen} bytes came in {waited:.0f} s: try again")
                waited, seen = 0.0, 0
            if length >= PIECE:
                yield b"".join(held)
                held, length = [], 0
    except httpx.TransportError as error:
        if held:
            yield b"".join(held)
        raise Unreachable(f"{what}: broke off: {told(error)}: try again") from None
    if held:
        yield b"".join(held)
