"""What is asked from outside, and what is said of a wrong answer."""

import http.server
import json
import threading
import time
from collections.abc import Iterator

import pytest

from tandem.settings import Request, VerifySettings
from tandem.targets.pointer import found, same
from tandem.targets.verify import ask_all, verify_address, wait_ready

DOCUMENT = {"result": [[["7", 99.5]]], "a/b": {"~": 1}, "": "empty", "many": "x" * 1000, "yes": True}


class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.answer(200, json.dumps(DOCUMENT).encode())

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(201, json.dumps({"got": json.loads(sent), "type": self.headers["Content-Type"]}).encode())

    def answer(self, status: int, body: bytes) -> None:
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/")
            self.end_headers()
            return
        self.send_response(503 if self.path == "/busy" else status)
        self.end_headers()
        if self.path == "/endless":
            body = b"x" * (2 * 1024 * 1024)
        if self.path == "/trickle":
            for _ in range(100):
                self.wfile.write(b" ")
                time.sleep(0.05)
        self.wfile.write(b"<html>\n no" if self.path == "/html" else body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def request(path: str = "/", **more: object) -> Request:
    return Request.model_validate({"path": path, **more})


@pytest.mark.parametrize(
    "right",
    [
        request(),
        request(json={"/result/0/0/0": "7", "/result/0/0/1": 99.5, "/a~1b/~0": 1.0, "/": "empty", "": DOCUMENT}),
        request(contains='"result"'),
        request("/moved", status=302),
        request("/busy", status=503),
        request(body={"input": ["é"]}, status=201, json={"/got/input/0": "é", "/type": "application/json"}),
        request(body='{"raw": 1}', status=201, json={"/got/raw": 1}, headers={"Content-Type": "application/json"}),
    ],
)
def test_a_right_answer_passes(address: str, right: Request) -> None:
    (check,) = ask_all(address, [right])
    assert check.ok, str(check)
    assert 0 < check.milliseconds < 10_000


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (request(status=204), 'GET /: expected status 204, got 200: {"result"'),
        (request("/moved"), "expected status 200, got 302"),
        (request(json={"/result/0/0/0": "8"}), """expected "8" at '/result/0/0/0', got "7\""""),
        (request(json={"/result/0/0/1": 99.4999}), "expected 99.4999 at"),
        (request(json={"/yes": 1}), "expected 1 at '/yes', got true"),
        (request(json={"/result/1": 0}), "there is no element '1' in a list of 1"),
        (request(json={"/result/00": 0}), "there is no element '00'"),
        (request(json={"/nothing": 0}), "there is no 'nothing' among"),
        (request("/html", json={"/result": 1}), "expected JSON, got <html> no"),
        (request(contains="nowhere"), "expected 'nowhere' in the body"),
        (request("/endless"), "larger than 1048576 bytes"),
        (request("/trickle", within=2), "not whole after 2 s"),
    ],
)
def test_a_wrong_answer_is_told_on_one_short_line(address: str, wrong: Request, says: str) -> None:
    (check,) = ask_all(address, [wrong])
    assert not check.ok
    assert says in str(check)
    assert len(str(check)) < 600
    assert "\n" not in str(check)


def test_an_address_where_nobody_answers_is_told(free_port: int) -> None:
    address = f"http://127.0.0.1:{free_port}"
    (check,) = ask_all(address, [request()])
    assert f"no answer from {address}" in str(check)
    assert "Connection refused" in str(check)


def test_what_is_never_ready_says_what_was_seen_last(address: str) -> None:
    began = time.monotonic()
    ready = wait_ready(address, VerifySettings(ready="/busy", time_limit=1))
    assert ready.failure is not None
    assert "did not answer 200 within 1 s (last: status 503:" in ready.failure
    assert 1 <= time.monotonic() - began < 30


def test_what_died_is_not_waited_for(free_port: int) -> None:
    ready = wait_ready(f"http://127.0.0.1:{free_port}", VerifySettings(time_limit=60), lambda: "the app ended")
    assert (ready.failure or "").startswith("the app ended before GET /")


def test_an_address_that_is_not_ready_is_asked_nothing_more(address: str) -> None:
    checks = verify_address(address, VerifySettings(ready="/busy", time_limit=0.2, request=(request(),)))
    assert [check.ok for check in checks] == [False]
    checks = verify_address(address, VerifySettings(request=(request(),)), [request(status=500)])
    assert [check.ok for check in checks] == [True, True, False]


def test_json_pointers_and_equality_follow_their_specifications() -> None:
    assert found({"a/b": 1, "m~n": 2, "~1": 3}, "/~01") == 3
    with pytest.raises(LookupError):
        found({"a": 1}, "a")
    assert same({"a": [1, 2.0]}, {"a": [1.0, 2]})
    assert not same(True, 1)
    assert not same([1], [1, 2])
    assert not same(None, False)
