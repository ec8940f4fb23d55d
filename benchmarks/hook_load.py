"""Signed GitHub pushes at a fixed rate, as JSON what came of them: `hook_load.py HOST PORT RATE SECONDS [new]`.

An open loop: each push has its time, and its latency counts from then, whether or not a connection was free; nothing
is sent twice. GITHUB_HOOK_SECRET signs. With `new`, each push comes by a connection of its own, as GitHub's do; else
by 64 that are kept, as a reverse proxy's are.
"""

import hmac
import json
import os
import random
import selectors
import socket
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

CONNECTIONS, PATIENCE = 64, 20.0
REPOSITORY = {
    "id": 186853002,
    "full_name": "acme/shop",
    "clone_url": "https://github.com/acme/shop.git",
    "ssh_url": "git@github.com:acme/shop.git",
    "html_url": "https://github.com/acme/shop",
    **{f"{name}_url": f"https://api.github.com/repos/acme/shop/{name}{{/sha}}" for name in "abcdefghijklmnopqrst"},
}


def pushes(secret: bytes) -> Iterator[bytes]:
    """Requests like no other, with bodies of 7 to 15 KB."""
    chance, templates = random.Random(1), []
    for commits in range(9, 21):
        person = {"name": "Ann Example", "email": "ann@example.org", "username": "ann"}
        each = {"message": "Change what was asked for\n\n" + "Because it was asked. " * 6, "author": person}
        each |= {"committer": person, "timestamp": "2026-11-23T10:00:00+01:00", "distinct": True, "removed": []}
        each |= {"modified": [f"app/module_{number}.py" for number in range(5)], "added": ["app/new.py"]}
        listed = [{"id": f"{chance.getrandbits(160):040x}", **each} for _ in range(commits)]
        push = {"ref": "refs/heads/main", "after": "@", "repository": REPOSITORY, "commits": listed}
        templates.append(json.dumps(push).encode().split(b"@", 1))
    while True:
        before, after = chance.choice(templates)
        name = b"%040x" % chance.getrandbits(160)
        body = before + name + after
        yield (
            b"POST /hooks/github HTTP/1.1\r\nHost: tandem\r\nContent-Type: application/json\r\nX-GitHub-Event: push\r\n"
            b"X-GitHub-Delivery: %s\r\nX-Hub-Signature-256: sha256=%s\r\nContent-Length: %d\r\n\r\n%s"
        ) % (name[:36], hmac.digest(secret, body, "sha256").hex().encode(), len(body), body)


@dataclass
class Wire:
    """A connection, and the push that it is busy with."""

    socket: socket.socket
    due: float = 0.0
    rest: memoryview = field(default_factory=lambda: memoryview(b""))
    answer: bytes = b""


@dataclass
class Load:
    """One run."""

    address: tuple[str, int]
    fresh: bool
    statuses: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    idle: deque[Wire] = field(default_factory=deque)
    busy: set[int] = field(default_factory=set)
    selector: selectors.DefaultSelector = field(default_factory=selectors.DefaultSelector)

    def run(self, source: Iterator[bytes], rate: float, seconds: float) -> dict[str, object]:
        """Send, and wait for what is under way at the end."""
        count, sent, waiting = int(rate * seconds), 0, deque[float]()
        began = time.perf_counter()
        while len(self.latencies) + self.statuses["failed"] < count:
            now = time.perf_counter()
            while sent < count and began + sent / rate <= now:
                waiting.append(began + sent / rate)
                sent += 1
            while waiting and (wire := self.free()):
                self.send(wire, waiting.popleft(), next(source))
            if now - began > seconds + PATIENCE:
                break
            pause = max(0.0, began + sent / rate - time.perf_counter()) if sent < count else 0.05
            for key, mask in self.selector.select(min(pause, 0.05)):
                self.move(key.data, mask)
        took = time.perf_counter() - began
        missing = count - len(self.latencies) - self.statuses["failed"]
        return self.table(sent, took) | {"unanswered": missing}

    def free(self) -> Wire | None:
        """A connection that has nothing to do."""
        if self.idle:
            return self.idle.pop()
        if len(self.busy) >= (1000 if self.fresh else CONNECTIONS):
            return None
        try:
            wire = Wire(socket.create_connection(self.address, PATIENCE))
        except OSError as error:
            self.statuses[f"no connection: {error.strerror}"] += 1
            return None
        wire.socket.setblocking(False)
        wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.selector.register(wire.socket, selectors.EVENT_READ, wire)
        return wire

    def send(self, wire: Wire, due: float, request: bytes) -> None:
        """Begin a push."""
        wire.due, wire.answer, wire.rest = due, b"", memoryview(request)
        self.busy.add(id(wire))
        self.sizes.append(len(request))
        self.move(wire, selectors.EVENT_WRITE)

    def move(self, wire: Wire, mask: int) -> None:
        """Send or receive what there is."""
        try:
            if mask & selectors.EVENT_WRITE and wire.rest:
                wire.rest = wire.rest[wire.socket.send(wire.rest) :]
                events = selectors.EVENT_READ | (selectors.EVENT_WRITE if wire.rest else 0)
                if self.selector.get_key(wire.socket).events != events:
                    self.selector.modify(wire.socket, events, wire)
            if mask & selectors.EVENT_READ:
                piece = wire.socket.recv(65536)
                wire.answer += piece
                if not piece:
                    raise ConnectionError
        except BlockingIOError:
            return
        except OSError:
            self.selector.unregister(wire.socket)
            wire.socket.close()
            if id(wire) in self.busy:
                self.busy.discard(id(wire))
                self.statuses["failed"] += 1
            elif wire in self.idle:
                self.idle.remove(wire)
            return
        head, found, body = wire.answer.partition(b"\r\n\r\n")
        if found and len(body) >= int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0] or 0):
            self.latencies.append(time.perf_counter() - wire.due)
            self.statuses[f"{head[9:12].decode()} {json.loads(body)['status']}"] += 1
            self.busy.discard(id(wire))
            wire.answer = b""
            if self.fresh:
                self.selector.unregister(wire.socket)
                wire.socket.close()
            else:
                self.idle.append(wire)

    def table(self, sent: int, took: float) -> dict[str, object]:
        """What is printed."""
        times = sorted(self.latencies) or [float("nan")]
        at = {name: times[min(len(times) - 1, int(len(times) * part))] for name, part in (("p50", 0.5), ("p99", 0.99))}
        sizes = sorted(self.sizes) or [0]
        cpu = time.process_time()
        return {
            "sent": sent, "seconds": took, "rate": len(self.latencies) / took, **at, "max": times[-1], "cpu": cpu,
            "smallest": sizes[0], "largest": sizes[-1], "statuses": dict(self.statuses),
        }  # fmt: skip


def main(host: str, port: str, rate: str, seconds: str, *fresh: str) -> None:
    """One run."""
    source = pushes(os.environ["GITHUB_HOOK_SECRET"].encode())
    print(json.dumps(Load((host, int(port)), bool(fresh)).run(source, float(rate), float(seconds))))


if __name__ == "__main__":
    main(*sys.argv[1:])
