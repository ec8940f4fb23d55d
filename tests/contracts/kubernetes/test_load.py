"""The load that the releases are measured with: it asks at its rate, counts each failure, and sends nothing twice."""

import itertools
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from benchmarks.kubernetes import load as loads
from benchmarks.kubernetes.load import Kind, Load, Question, table

ASKS = Question("/score", b"{}", b"seven", b"x-version")
KINDS = (Kind("kept", 0.05), Kind("new", None))


class Server(ThreadingHTTPServer):
    """Every tenth request is not answered, every tenth wrongly, and every tenth answer ends its connection."""

    request_queue_size = 128  # of those that a busy machine is late for

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.numbers = itertools.count(1)


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        number = next(self.server.numbers)
        if number % 10 == 1:
            self.close_connection = True
            return
        body = b"eight" if number % 10 == 2 else b"seven"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Version", "one")
        if number % 10 == 3:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(autouse=True)
def busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that was away for some seconds is none of the failures."""
    monkeypatch.setattr(loads, "PATIENCE", 60.0)


def wait_for(load: Load, requests: int) -> None:
    deadline = time.monotonic() + 60
    while load.sent <= requests:
        assert time.monotonic() < deadline, load.sent
        time.sleep(0.05)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_each_failure_is_counted_once_and_nothing_is_sent_twice(server: Server) -> None:
    with Load(f"http://127.0.0.1:{server.server_port}", rate=200, kinds=KINDS, asks=ASKS) as load:
        wait_for(load, 200)
    asked = range(1, next(server.numbers))
    assert load.sent == len(asked) > 200
    assert load.failed == sum(number % 10 in {1, 2} for number in asked)
    assert all(seen.versions["one"][0] < seen.versions["one"][1] for seen in load.seen.values())
    assert f"| kept | {load.seen['kept'].sent} |" in table(load)


def test_a_server_that_is_not_there_fails_every_request() -> None:
    with Load("http://127.0.0.1:9", rate=100, asks=ASKS) as load:
        wait_for(load, 20)
    assert load.sent == load.failed > 20
