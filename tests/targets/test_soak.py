"""An app that fails now and then is found by asking often enough; one failure alone is forgiven."""

import http.server
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tandem.settings import Request
from tandem.targets.soak import ENOUGH, soak

ASKS = (Request(path="/one"), Request(path="/two"))
Serve = Callable[[Callable[[int], bool]], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """serve(fails) answers 502 to each request whose number `fails` says so; its URL."""
    servers: list[http.server.ThreadingHTTPServer] = []

    def start(fails: Callable[[int], bool]) -> str:
        asked = iter(range(1, 1_000_000))

        class Answers(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(502 if fails(next(asked)) else 200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_one_failure_in_twenty_is_found(serve: Serve) -> None:
    said = soak(serve(lambda number: number % 20 == 0), ASKS, 0.1)
    assert said and said.startswith("2 of 40 requests failed") and "GET /two: expected status 200, got 502" in said


def test_one_failure_alone_is_forgiven_and_the_requests_go_evenly_over_the_time(serve: Serve) -> None:
    times: list[float] = []

    def fails(number: int) -> bool:
        times.append(time.monotonic())
        return number == 7

    began = time.monotonic()
    assert soak(serve(fails), ASKS, 3.0) is None
    assert len(times) >= ENOUGH
    assert all(came - began > 3.0 * number / ENOUGH - 0.01 for number, came in enumerate(times[:ENOUGH]))


def test_without_requests_there_is_nothing_to_ask() -> None:
    assert soak("http://127.0.0.1:1", (), 5.0) is None
