"""What a sender is given, and what it makes of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Protocol

from tandem.errors import TandemError

PIECE = 1 << 18


class Malformed(TandemError):
    """A verified hook whose body is not what its sender documents; says what is missing."""


class Headers(Protocol):
    """A request's headers, by name in any case."""

    def get(self, name: str, default: str, /) -> str:
        """A header's text."""


@dataclass(frozen=True)
class Call:
    """One request. `stream` gives the body once; `now` is Unix time in seconds."""

    headers: Headers
    query: Mapping[str, str]
    stream: IO[bytes]
    now: float
    body: bytes | None = None  # None: too large to be held, and read from the stream

    def pieces(self) -> Iterator[bytes]:
        """The body, once."""
        if self.body is not None:
            yield self.body
            return
        while piece := self.stream.read(PIECE):
            yield piece

    def header(self, name: str) -> str:
        """A header's text, "" where there is none."""
        return self.headers.get(name, "")


@dataclass(frozen=True)
class Proof:
    """The secret that a call proved to know; `mark` is the same for the same call only: replays are known by it."""

    secret: str = field(repr=False)
    mark: str


@dataclass(frozen=True)
class Push:
    """Branches of a repository moved. `repositories` are the addresses by which the sender knows it."""

    repositories: tuple[str, ...]
    branches: tuple[str, ...]


@dataclass(frozen=True)
class Blobs:
    """Blobs were written, by their URLs."""

    urls: tuple[str, ...]


@dataclass(frozen=True)
class Apps:
    """Apps by their names."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class Reply:
    """Nothing to look into: why, and where the sender wants a certain answer, that."""

    why: str
    document: Mapping[str, object] | None = None


Said = Push | Blobs | Apps | Reply


class Sender(Protocol):
    """One kind of sender: how it proves itself, and what its body says."""

    def prove(self, call: Call, secrets: Sequence[str]) -> Proof | None:
        """Which of these secrets the call knows; None where it is none, in about the same time."""

    def delivery(self, call: Call) -> str:
        """The sender's own name for this delivery, for the log; "" where it gives none."""

    def read(self, call: Call, document: object) -> Said:
        """What the body says. Raises Malformed."""
