"""The app under gunicorn, as images run it."""

import http.client
import json
import os
import re
import runpy
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
Start = Callable[..., "Server"]


class Server:
    """gunicorn with the app; `bind` as on its command line."""

    def __init__(self, bind: str, log: Path, env: dict[str, str], descriptors: list[int]) -> None:
        self.log = log
        with log.open("w") as file:
            command = [sys.executable, "-m", "gunicorn", "--config", "app/gunicorn.conf.py", "--bind", bind]
            self.process = subprocess.Popen(
                [*command, "app:create_app()"], cwd=ROOT, env=env, pass_fds=descriptors, stderr=file
            )

    def until(self, condition: Callable[[], object], seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.poll() is None:
            if condition():
                return
            time.sleep(0.02)
        raise AssertionError(f"not in {seconds} s, exit code {self.process.poll()}; its log:\n{self.log.read_text()}")

    def ready(self) -> bool:
        return "app.readiness: model digits loaded" in self.log.read_text()

    @property
    def port(self) -> int:
        return int(re.findall(r"Listening at: http://127\.0\.0\.1:(\d+)", self.log.read_text())[0])


@pytest.fixture
def start(model_dir: Path, tmp_path: Path) -> Iterator[Start]:
    """Starts servers, and ends those that are left."""
    started: list[Server] = []

    def start(bind: str = "127.0.0.1:0", descriptors: tuple[int, ...] = (), ready: bool = True, **env: str) -> Server:
        named = {"MODEL_DIR": str(model_dir), "DRAINING_FILE": str(tmp_path / "draining"), **env}
        server = Server(bind, tmp_path / f"{len(started)}.log", {**os.environ, **named}, list(descriptors))
        started.append(server)
        if ready:
            server.until(server.ready)
        return server

    yield start
    for server in started:
        server.process.kill()
        server.process.wait()


def connect(port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port, timeout=60)


def score(port: int, picture: str) -> str:
    connection = connect(port)
    connection.request("POST", "/score", json.dumps({"input": [picture]}), {"Content-Type": "application/json"})
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return answer["result"][0][0][0][0]


def test_a_request_that_was_taken_is_finished_after_sigterm(start: Start, seven: str) -> None:
    server = start()
    port = server.port
    body = json.dumps({"input": [seven]}).encode()
    head = f"POST /score HTTP/1.1\r\nHost: app\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port)) as taken, socket.create_connection(("127.0.0.1", port)) as idle:
        taken.sendall(head.encode() + body[:50])
        idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: app\r\n\r\n")
        assert b"200 OK" in idle.recv(4096)  # asked later than the other, so that one was taken before
        server.process.send_signal(signal.SIGTERM)
        idle.settimeout(60)
        while idle.recv(4096):
            pass  # its end says that the server is stopping
        assert server.process.poll() is None
        taken.sendall(body[50:])
        response = http.client.HTTPResponse(taken)
        response.begin()
        assert response.status == 200
        assert json.loads(response.read())["result"][0][0][0][0] == "7"
    assert server.process.wait(60) == 0


def test_on_an_inherited_socket_the_next_one_takes_over_without_a_gap(start: Start, seven: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port, shared = listener.getsockname()[1], listener.fileno()
        old = start(f"fd://{shared}", (shared,))
        assert score(port, seven) == "7"
        start(f"fd://{shared}", (shared,))
        old.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 60
        while old.process.poll() is None and time.monotonic() < deadline:
            assert score(port, seven) == "7"
        assert old.process.wait(1) == 0
        assert score(port, seven) == "7"


def test_while_draining_each_answer_closes_its_connection(start: Start, tmp_path: Path) -> None:
    connection = connect(start().port)
    for draining in (False, True):
        if draining:
            (tmp_path / "draining").touch()
        connection.request("GET", "/healthz")
        response = connection.getresponse()
        response.read()
        assert (response.getheader("Connection") == "close") is draining
    connection.close()


@pytest.mark.parametrize("body", [bytes(30_000_000), [bytes(9_000)] * 3_000], ids=["of known length", "in chunks"])
def test_a_body_above_the_limit_is_answered_and_not_cut_off(start: Start, body: bytes | list[bytes]) -> None:
    connection = connect(start(MAX_CONTENT_LENGTH="10000000").port)
    connection.request("POST", "/score", body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    assert response.status == 413 and "10000000" in json.loads(response.read())["detail"]
    connection.close()


def worker_of(server: Server) -> int:
    return int(re.findall(r"Booting worker with pid: (\d+)", server.log.read_text())[-1])


def test_a_worker_killed_as_for_memory_ends_the_server_and_not_only_itself(start: Start) -> None:
    server = start()
    os.kill(worker_of(server), signal.SIGKILL)
    assert server.process.wait(60) == 137
    assert "was killed, perhaps for memory" in server.log.read_text()


def test_a_worker_that_is_exchanged_by_a_reload_ends_nothing(start: Start) -> None:
    server = start()
    old = worker_of(server)
    server.process.send_signal(signal.SIGHUP)
    server.until(lambda: worker_of(server) != old and f"Worker exiting (pid: {old})" in server.log.read_text())
    server.until(lambda: server.log.read_text().count("model digits loaded") == 2)
    assert server.process.poll() is None
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(60) == 0


def test_a_start_without_a_model_ends_and_says_why(start: Start, tmp_path: Path) -> None:
    server = start(ready=False, MODEL_DIR=str(tmp_path / "absent"))
    assert server.process.wait(120) != 0
    assert "let MODEL_DIR name a folder with model.json" in server.log.read_text()


def test_threads_are_counted_from_the_containers_quota(tmp_path: Path) -> None:
    count = runpy.run_path(str(ROOT / "app/gunicorn.conf.py"))["available_cpus"]
    free = count(tmp_path)
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert count(tmp_path) == free
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    assert count(tmp_path) == 1
    (tmp_path / "cpu.max").unlink()
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text("100000\n")
    (tmp_path / "cpu/cpu.cfs_period_us").write_text("100000\n")
    assert count(tmp_path) == 1
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text("-1\n")
    assert count(tmp_path) == free
