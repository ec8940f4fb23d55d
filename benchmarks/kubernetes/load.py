"""A load that never retries: `python benchmarks/kubernetes/load.py http://ADDRESS [--rate 200] [--seconds 30]`.

Open loop: requests begin when it is their time, however long others take. A third of them each on connections that
are used four times a second, on new connections, and on connections that were idle for 4 s: those meet a server that
closes. A failure is any request that was begun and not answered rightly within 10 s. A kept connection that the server
closed before a request is written is opened again, as every HTTP client does (RFC 9112, 9.5); nothing is sent twice.
"""

import argparse
import asyncio
import json
import statistics
import sys
import threading
import time
import tomllib
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

PATIENCE = 10.0  # seconds for an answer
APP = Path(__file__).parents[2] / "deployments" / "digits" / "app.toml"


@dataclass(frozen=True)
class Question:
    """What is asked, and the bytes that a right answer's body holds; `version` is the header that names who answers."""

    path: str
    body: bytes
    right: bytes
    version: bytes = b"x-model"


def sample() -> Question:
    """The sample app's own verify request."""
    first = tomllib.loads(APP.read_text())["verify"]["request"][0]
    (right,) = first["json"].values()
    return Question(first["path"], json.dumps(first["body"]).encode(), json.dumps(right).encode())


@dataclass(frozen=True)
class Kind:
    """How connections are used: again after `idle` seconds, or (None) for one request each."""

    name: str
    idle: float | None


KINDS = (Kind("kept busy", 0.25), Kind("new", None), Kind("idle 4 s", 4.0))


@dataclass
class Seen:
    """What one kind of connection saw; times are time.time(), latencies and `late` seconds."""

    sent: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    failed_at: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    versions: dict[str, tuple[float, float]] = field(default_factory=dict)  # its first and its last answer
    late: float = 0.0  # the client's own longest delay: it is too slow, or the machine is


@dataclass
class Connection:
    """A connection that was opened."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class Load:
    """`with Load("http://10.0.0.1") as load:` asks until it is left, in a thread; then `load.seen` by kind's name."""

    def __init__(self, url: str, rate: float = 200.0, kinds: tuple[Kind, ...] = KINDS, asks: Question | None = None):
        self.at, self.asks, self.kinds, self.rate = urlsplit(url), asks or sample(), kinds, rate / len(kinds)
        self.seen = {kind.name: Seen() for kind in kinds}
        asks = self.asks
        head = f"POST {asks.path} HTTP/1.1\r\nHost: {self.at.netloc}\r\nContent-Type: application/json\r\n"
        self.message = f"{head}Content-Length: {len(asks.body)}\r\n".encode(), b"\r\n" + asks.body
        self._over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="load", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()

    @property
    def sent(self) -> int:
        """Requests begun so far."""
        return sum(seen.sent for seen in self.seen.values())

    @property
    def failed(self) -> int:
        """Requests of those that were not answered rightly."""
        return sum(seen.failures.total() for seen in self.seen.values())

    async def _run(self) -> None:
        await asyncio.gather(*(self._ask_on(kind, number) for number, kind in enumerate(self.kinds)))

    async def _ask_on(self, kind: Kind, number: int) -> None:
        seen, kept, asked = self.seen[kind.name], deque[tuple[float, Connection]](), set[asyncio.Task[None]]()
        began = time.monotonic() + number / self.rate / len(self.kinds)
        for count in range(sys.maxsize):
            due = began + count / self.rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if self._over.is_set():
                break
            seen.late = max(seen.late, time.monotonic() - due)
            seen.sent += 1
            asked.add(task := asyncio.create_task(self._ask(kind, seen, kept)))
            task.add_done_callback(asked.discard)
        await asyncio.gather(*asked)
        for _, connection in kept:
            connection.writer.close()

    async def _ask(self, kind: Kind, seen: Seen, kept: deque[tuple[float, Connection]]) -> None:
        began = time.monotonic()
        connection = None
        try:
            async with asyncio.timeout(PATIENCE):
                connection = self._kept(kind, kept)
                what = "kept" if connection else "new"
                if connection is None:
                    connection = Connection(*await asyncio.open_connection(self.at.hostname, self.at.port or 80))
                close = b"" if kind.idle is not None else b"Connection: close\r\n"
                connection.writer.write(close.join(self.message))
                head = await connection.reader.readuntil(b"\r\n\r\n")
                status, *lines = head.lower().rstrip().split(b"\r\n")
                headers = {name: value.strip() for name, _, value in (line.partition(b":") for line in lines)}
                body = await connection.reader.readexactly(int(headers[b"content-length"]))
            if b" 200" not in status or self.asks.right not in body:
                raise ValueError(f"answered {status.decode()}: {body[:80]!r}")
        except (OSError, ValueError, KeyError, EOFError, TimeoutError) as error:
            seen.failures[f"{what if connection else 'connect'}: {type(error).__name__}: {error}"] += 1
            seen.failed_at.append(time.time())
            if connection:
                connection.writer.close()
            return
        seen.latencies.append(time.monotonic() - began)
        now, version = time.time(), headers.get(self.asks.version, b"").decode()
        seen.versions[version] = (seen.versions.get(version, (now, now))[0], now)
        if kind.idle is None or headers.get(b"connection") == b"close":
            connection.writer.close()
        else:
            kept.append((time.monotonic(), connection))

    def _kept(self, kind: Kind, kept: deque[tuple[float, Connection]]) -> Connection | None:
        """A connection that was idle for long enough and that the server has not closed."""
        while kept and kind.idle is not None and time.monotonic() - kept[0][0] >= kind.idle:
            _, connection = kept.popleft()
            if not connection.reader.at_eof() and connection.reader.exception() is None:
                return connection
            connection.writer.close()
        return None


def table(load: Load) -> str:
    """What each kind of connection saw, as Markdown."""
    rows = ["| connections | sent | failed | median ms | 99 % ms | client late ms |", "|---|---|---|---|---|---|"]
    for name, seen in load.seen.items():
        each = [1000 * latency for latency in seen.latencies] or [0.0]
        middle, most = statistics.median(each), sorted(each)[int(len(each) * 0.99)]
        failed = seen.failures.total()
        rows.append(f"| {name} | {seen.sent} | {failed} | {middle:.1f} | {most:.1f} | {1000 * seen.late:.0f} |")
        rows += [f"| | | {count} × {what} | | | |" for what, count in seen.failures.items()]
    return "\n".join(rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--seconds", type=float, default=30.0)
    asked = parser.parse_args()
    with Load(asked.url, asked.rate) as load:
        time.sleep(asked.seconds)
    print(table(load))
    sys.exit(load.failed > 0)
