"""A proxy before a cloud's store, which does to answers what bad days do."""

import http.client
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import urlsplit

import pytest

HOP = {"connection", "transfer-encoding", "content-length", "keep-alive"}


@dataclass
class Rule:
    """What happens to the next `times` requests of that method whose path ends so, and whose Range header has `range`.

    `status`: answered by the proxy itself; else passed on, and the answer's body `cut` after so many bytes,
    `damaged` in its middle, sent a byte at a time every `trickle` seconds, or `rate` bytes a second.
    `before()` is called first. `flying` are its answers on their way at that rate, `most` how many were at once.
    """

    method: str = "GET"
    ends: str = ""
    range: str = ""
    times: int = 1
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut: int | None = None
    damaged: bool = False
    trickle: float | None = None
    rate: float | None = None
    before: Callable[[], None] = lambda: None
    flying: list[object] = field(default_factory=list)
    most: int = 0


@dataclass
class Proxy:
    """`asked` holds (method, path, headers in lower case) of each request, `rules` what to do to those to come."""

    server: str
    address: str = ""
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)

    def rule_for(self, method: str, path: str, asked: str) -> Rule | None:
        for rule in self.rules:
            fits = urlsplit(path).path.endswith(rule.ends) and re.search(rule.range, asked)
            if rule.times > 0 and rule.method == method and fits:
                rule.times -= 1
                return rule
        return None


class Passing(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    proxy: Proxy

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except OSError:  # a client that went away
            self.close_connection = True

    def pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {key: value for key, value in self.headers.items() if key.lower() not in HOP | {"expect"}}
        self.proxy.asked.append((self.command, self.path, {key.lower(): value for key, value in headers.items()}))
        rule = self.proxy.rule_for(self.command, self.path, headers.get("Range", ""))
        if rule is not None:
            rule.before()
        if rule is not None and rule.status is not None:
            self.answer(rule.status, dict(rule.headers), rule.body, rule)
            return
        upstream = http.client.HTTPConnection(self.proxy.server)
        upstream.request(self.command, self.path, body, {**headers, "Content-Length": str(len(body))})
        answer = upstream.getresponse()
        content = answer.read()
        kept = {key: value for key, value in answer.getheaders() if key.lower() not in HOP}
        if rule is not None and rule.damaged:
            content = content[: len(content) // 2] + b"\0" + content[len(content) // 2 + 1 :]
        self.answer(answer.status, kept, content, rule)
        upstream.close()

    def answer(self, status: int, headers: Mapping[str, str], content: bytes, rule: Rule | None = None) -> None:
        self.send_response_only(status)
        for key, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(key, value)
        if rule is not None and rule.cut == 0:
            self.close_connection = True
            return
        self.end_headers()
        if self.command == "HEAD":
            return
        cut = rule is not None and rule.cut is not None and rule.cut < len(content)
        if cut:
            content = content[: rule.cut]
            self.close_connection = True
        if rule is not None and rule.rate is not None:
            self.send_slowly(content, rule, rule.rate)
        elif rule is not None and rule.trickle is not None:
            for byte in content:
                self.wfile.write(bytes([byte]))
                time.sleep(rule.trickle)
        else:
            self.wfile.write(content)

    def send_slowly(self, content: bytes, rule: Rule, rate: float) -> None:
        rule.flying.append(self)
        rule.most = max(rule.most, len(rule.flying))
        began = time.monotonic()
        try:
            for at in range(0, len(content), 65536):
                time.sleep(max(0.0, began + at / rate - time.monotonic()))
                if at + 65536 >= len(content):
                    rule.flying.remove(self)  # before the reader can have all of it
                self.wfile.write(content[at : at + 65536])
        finally:
            if self in rule.flying:
                rule.flying.remove(self)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = pass_on

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(params=["azure", "s3"])
def cloud(request: pytest.FixtureRequest):
    """A cloud's place, each in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def proxy(cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """Stands before the cloud's server."""
    server = cloud.url.partition("http://")[2].partition("/")[0]
    proxy = Proxy(server)
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Here", (Passing,), {"proxy": proxy})) as listening:
        listening.daemon_threads = True
        proxy.address = f"127.0.0.1:{listening.server_port}"
        thread = Thread(target=listening.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield proxy
        listening.shutdown()
        thread.join()


@pytest.fixture
def place(cloud, proxy: Proxy, monkeypatch: pytest.MonkeyPatch):
    """The cloud's place, behind the proxy."""
    told = os.environ.get("AZURE_STORAGE_CONNECTION_STRING", "")
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", told.replace(proxy.server, proxy.address))
    return replace(cloud, url=cloud.url.replace(proxy.server, proxy.address))


@pytest.fixture
def waited() -> list[float]:
    """What `impatient` objects were told to wait, in seconds."""
    return []


@pytest.fixture
def objects(place, waited: list[float]):
    """The place's objects, which note their waiting and go on."""
    found = place.objects()
    return replace(found, sleep=waited.append, wire=replace(found.wire, sleep=waited.append))


@pytest.fixture
def rule() -> type[Rule]:
    return Rule
