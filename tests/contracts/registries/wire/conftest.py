"""A front before a real registry, which does to requests what bad days do."""

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from tandem.registries.distribution import DistributionRegistry
from tandem.registries.login import Account, AccountLogin
from tandem.registries.wire import Wire


def patient_client() -> httpx.Client:
    """Of a busy machine: it neither gives a request up, nor a connection that was idle for some seconds."""
    limits = httpx.Limits(keepalive_expiry=120.0)
    return httpx.Client(verify=False, timeout=60.0, limits=limits)  # plain HTTP: no TLS to set up


@dataclass
class Rule:
    """For the next `times` requests of this kind: an answer, a cut after bytes of the body or of the answer, an answer
    that comes a byte at a time, every `trickle` seconds; a body that is `damaged` on its way, or of which nothing is
    taken for `stalls` seconds."""

    method: str
    path: str
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut_after: int | None = None
    cut_answer_after: int | None = None
    trickle: float = 0.0
    damaged: bool = False
    stalls: float = 0.0
    times: int = 1


@dataclass
class Front:
    """`back` is the registry behind; `keeps_cuts` makes uploads go on after a cut, as Debian's registry does not."""

    back: str
    address: str = ""
    keeps_cuts: bool = False
    longest: int | None = None
    names_back: bool = False
    rules: list[Rule] = field(default_factory=list)
    seen: list[tuple[str, str, Mapping[str, str]]] = field(default_factory=list)
    connections: int = 0
    uploads: dict[str, bytearray] = field(default_factory=dict)
    client: httpx.Client = field(default_factory=patient_client)

    def rule(self, method: str, path: str) -> Rule | None:
        for rule in self.rules:
            if rule.times and rule.method == method and re.search(rule.path, path):
                rule.times -= 1
                return rule
        return None

    def methods(self) -> list[str]:
        return [method for method, _, _ in self.seen]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    front: Front

    def setup(self) -> None:
        super().setup()
        self.front.connections += 1

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except OSError:  # a client that went away
            self.close_connection = True

    def do_any(self) -> None:
        front, length = self.front, int(self.headers.get("Content-Length", "0"))
        front.seen.append((self.command, self.path, dict(self.headers)))
        rule = front.rule(self.command, self.path)
        if front.longest is not None and length > front.longest:
            rule = Rule("", "", 413, {"Content-Type": "text/html"}, b"<html>413 Request Entity Too Large")
        if rule and rule.stalls:
            time.sleep(rule.stalls)
            self.close_connection = True
            return
        body = self.rfile.read(length if rule is None or rule.cut_after is None else rule.cut_after)
        if rule and rule.damaged:
            body = body[:-1] + bytes([body[-1] ^ 1])
        if rule and rule.status:
            self.say(rule.status, rule.headers, rule.body)
            return
        if front.keeps_cuts and "/blobs/uploads/" in self.path and self.keep(body, length):
            return
        if rule and rule.cut_after is not None:
            self.close_connection = True
            return
        headers = {key: self.headers[key] for key in self.headers if key.lower() not in {"host", "connection"}}
        answer = front.client.request(self.command, f"http://{front.back}{self.path}", headers=headers, content=body)
        told = {key: value for key, value in answer.headers.items() if key != "content-length"}
        if "location" in told and not front.names_back:
            told["location"] = told["location"].replace(front.back, front.address)
        cut, trickle = (rule.cut_answer_after, rule.trickle) if rule else (None, 0.0)
        self.say(answer.status_code, told, answer.content, cut, answer.headers.get("content-length"), trickle)

    do_GET = do_HEAD = do_POST = do_PATCH = do_PUT = do_DELETE = do_any

    def keep(self, body: bytes, length: int) -> bool:
        """Uploads as the specification would have them; True where the answer, or the cut, was given."""
        base, _, name = self.path.partition("?")[0].rpartition("/")
        if self.command == "POST" and "mount=" not in self.path:
            name = str(len(self.front.uploads))
            self.front.uploads[name] = bytearray()
        held = self.front.uploads.get(name)
        if held is None or self.command in {"PUT", "DELETE"}:
            if self.command == "PUT" and held is not None:
                to = self.front.client.post(f"http://{self.front.back}{base}/").headers["location"]
                digest = httpx.URL(self.path).params["digest"]
                done = self.front.client.put(httpx.URL(to).copy_merge_params({"digest": digest}), content=bytes(held))
                self.say(done.status_code, {}, done.content)
                return True
            return False
        held += body
        if len(body) < length:
            self.close_connection = True
        else:
            status = 204 if self.command == "GET" else 202
            self.say(status, {"Location": f"{base}/{name}", "Range": f"0-{max(0, len(held) - 1)}"}, b"")
        return True

    def say(self, status: int, headers: Mapping[str, str], body: bytes, cut: int | None = None, size: str | None = None,
            trickle: float = 0.0) -> None:  # fmt: skip
        if cut == -1:
            self.close_connection = True
            return
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        if status != 204:
            self.send_header("Content-Length", size or str(len(body)))
        self.end_headers()
        if trickle:
            for byte in body:  # until the client has enough of it
                self.wfile.write(bytes([byte]))
                time.sleep(trickle)
        elif self.command != "HEAD":
            self.wfile.write(body[:cut])
        self.close_connection = self.close_connection or cut is not None

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def serve() -> Iterator[Callable[[Front], Front]]:
    """serve(front) starts it on a free port."""
    servers = []

    def serve(front: Front) -> Front:
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"front": front}))
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        servers.append(server)
        front.address = f"127.0.0.1:{server.server_port}"
        return front

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def front(plain: str, serve: Callable[[Front], Front]) -> Front:
    return serve(Front(plain))


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def registry(front: Front, slept: list[float], repository: str) -> DistributionRegistry:
    """A repository of this test's own, behind the front; waits are noted and not waited."""
    client = patient_client()
    login = AccountLogin(front.address, lambda: Account("anna", "s3cret-password"), client)
    return DistributionRegistry(Wire(f"http://{front.address}", repository, client, login, slept.append))


@pytest.fixture
def rule(front: Front) -> Callable[..., None]:
    """rule("PATCH", "uploads", status=503) makes the front do that once."""
    return lambda *words, **more: front.rules.append(Rule(*words, **more))
