"""Repositories of strangers, and the command as a person calls it."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from tandem.cli import deployments
from tandem.settings import Settings
from tandem.triggers.api import Api, connect

Run = Callable[..., subprocess.CompletedProcess[str]]
Repository = Callable[[Mapping[str, str]], Path]


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """Makes a git repository of these files, all committed."""

    def make(files: Mapping[str, str]) -> Path:
        root = tmp_path / "shop"
        for name, content in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(content)
        identity = ["-c", "user.name=ann", "-c", "user.email=ann@example.org"]
        for words in (["init", "-q", "-b", "trunk"], ["add", "-A"], [*identity, "commit", "-qm", "Begin"]):
            subprocess.run(["git", "-C", str(root), *words], check=True)
        return root

    return make


@pytest.fixture
def tandem() -> Run:
    """Runs `tandem` in a folder, in a process of its own, with nothing of the caller's environment but PATH."""

    def run(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        program = Path(sys.executable).parent / "tandem"
        environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"} | variables
        return subprocess.run(
            [str(program), *words], cwd=folder, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )

    return run


STUB = """
- name: test
  entrypoint: sleepy.sleepy
  enforce_parameter_schema: true
  work_pool: {name: tandem, work_queue_name: default}
"""


@dataclass(frozen=True)
class Machine:
    """A root on which `tandem up` was called, with the real deployments and a sleepy one."""

    root: Path
    said: str
    tandem: Callable[..., subprocess.CompletedProcess[str]]

    @property
    def url(self) -> str:
        """The API's address."""
        return str(json.loads((self.root / ".tandem/up.json").read_text())["url"])

    def api(self, url: str = "") -> Api:
        """The API, or what stands before it."""
        return connect({"PREFECT_API_URL": url or self.url}, patience=240)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A server and a worker, started by `tandem up` while the usual port is taken; ended by `tandem down`."""
    root = tmp_path_factory.mktemp("machine")
    shutil.copytree(Path(__file__).parents[2] / "deployments", root / "deployments")
    wanted = deployments.wanted([Settings.load("digits", root)])
    yaml = deployments.document(wanted).replace("cron: '* * * * *'", "cron: 0 0 1 1 *")  # nothing runs by itself
    (root / "prefect.yaml").write_text(yaml + STUB)

    def tandem(*words: str) -> subprocess.CompletedProcess[str]:
        program = Path(sys.executable).parent / "tandem"
        environ = {"PATH": os.environ["PATH"], "HOME": str(root), "PYTHONPATH": str(Path(__file__).parent / "stub")}
        return subprocess.run([str(program), *words], cwd=root, env=environ, capture_output=True, text=True)

    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):  # taken by another: as good
            taken.bind(("127.0.0.1", 4200))
            taken.listen()
        done = tandem("up")
        assert done.returncode == 0, done.stdout + done.stderr
    pids = [json.loads(file.read_text())["pid"] for file in (root / ".tandem/run").glob("*.json")]
    yield Machine(root, done.stdout, tandem)
    done = tandem("down")
    assert done.returncode == 0 and "server: ended" in done.stdout, done.stdout + done.stderr
    deadline = time.monotonic() + 240
    while any(_lives(pid) for pid in pids):  # the dead leave the list when init has counted them
        assert time.monotonic() < deadline, f"left over: {[pid for pid in pids if _lives(pid)]}"
        time.sleep(0.05)
    assert "ended" not in tandem("down").stdout


def _lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def stumbling(machine: Machine) -> Iterator[tuple[str, list[str]]]:
    """The server behind a proxy: (address, faults). Each fault is taken by one request, in turn.

    "503": refused before the server sees it; "lost": done by the server, and the answer replaced by a 503;
    "cut": done by the server, and the connection closed without an answer.
    """
    faults: list[str] = []
    server = httpx.Client(base_url=machine.url.removesuffix("/api"), timeout=120)

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fault = faults.pop(0) if faults else ""
            status, body = 503, b"Service Unavailable"
            if fault != "503":
                kind = {"Content-Type": self.headers.get("Content-Type", "application/json")}
                answer = server.request(self.command, self.path, content=content, headers=kind)
                if fault == "":
                    status, body = answer.status_code, answer.content
            if fault == "cut":
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield f"http://127.0.0.1:{proxy.server_port}/api", faults
        proxy.shutdown()
