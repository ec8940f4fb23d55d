"""What a sender is given, and what it makes of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Protocol
from urllib.parse import parse_qsl

from tandem.errors import TandemError

PIECE = 1 << 18


class Malformed(TandemError):
    """A verified hook whose body is not what its sender documents; says what is missing."""


@dataclass(frozen=True)
class Call:
    """One request. `environ` and `stream` are WSGI's (PEP 3333); the stream is read once. `now`: Unix time, seconds."""

    environ: Mapping[str, object] = field(repr=False)
    stream: IO[bytes] = field(repr=False)
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
        """A header's text, its name as it is usually written; "" where there is none."""
        key = name.upper().replace("-", "_")
        return str(self.environ.get(key if key == "CONTENT_TYPE" else f"HTTP_{key}", ""))

    def asked(self, name: str) -> str:
        """A value in the address, behind the question mark; "" where there is none."""
        try:
            return dict(parse_qsl(str(self.environ.get("QUERY_STRING", "")), max_num_fields=20)).get(name, "")
        except ValueError:
            return ""


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
