"""A small app of its own for each test: a git repository, a store, a registry and an environment on this machine.

The app is one stdlib file; the commit decides what it does, and so does the model; so that either can be bad.
Flows run in the test's process, recorded by one real Prefect server for the whole session.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, PREFECT_HOME

from tandem.messages.sending import send_all
from tandem.triggers.api import connect
from tests.conftest import free_port
from tests.messages.doubles import Mail, Web, mail, web

SERVE = """
import http.server, json, os, socket, sys, threading, signal, time

GREETING = "good"
HELD = ""
model = json.load(open(os.path.join(os.environ["MODEL_DIR"], "model.json")))

def is_held():
    try:
        step = open(HELD + "/held").read()
        return not step or step in open(HELD + "/.tandem/environments/tiny-local/state.json").read()
    except OSError:
        return False

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        while self.path == "/slow" and is_held():
            time.sleep(0.05)
        answers = {"/": "ok", "/slow": "done", "/greeting": GREETING}
        answers |= {"/answer": model["answer"], "/deep": model.get("deep", "good")}
        body = json.dumps(answers.get(self.path)).encode()
        self.send_response(200 if self.path in answers else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        print("served", self.path, flush=True)

while is_held():
    time.sleep(0.05)
server = http.server.ThreadingHTTPServer(("", 0), Handler, bind_and_activate=False)
server.socket.close()
server.socket = socket.socket(fileno=int(sys.argv[1].removeprefix("fd://")))
server.server_name, server.server_port = "tiny", 0
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
print("serving", flush=True)
server.serve_forever(poll_interval=0.05)
"""

TESTS = """
import pathlib, unittest

class Tiny(unittest.TestCase):
    def test_it_is_whole(self):
        self.assertNotIn("BROKEN", pathlib.Path("serve.py").read_text())
"""

# Limits that nobody waits for: they are there to end what hangs.
APP_TOML = """
[source]
repository = "code"
[test]
command = "python -m unittest -v"
[model]
store = "file://store"
name = "answers"
require = "accuracy >= 0.5"
[image]
files = ["serve.py"]
command = ["python", "serve.py", "{{listen}}"]
env = {{ MODEL_DIR = "{{model}}" }}
registry = "oci:registry"
[verify]
time_limit = "240s"
[[verify.request]]
path = "/answer"
json = {{ "" = 7 }}
within = "60s"
[environments.local]
target = "process:"
address = "127.0.0.1:{port}"
{more}
# what only shows when it is released, and passes the image's own trial
[[environments.local.verify.request]]
path = "/deep"
json = {{ "" = "good" }}
within = "60s"
[[environments.local.verify.request]]
path = "/greeting"
json = {{ "" = "good" }}
within = "60s"
"""


@dataclass(frozen=True)
class Line:
    """One app's whole line, with what a test does to it."""

    root: Path
    port: int

    def commit(self, **replacements: str) -> str:
        """A new commit of the app, with texts of serve.py replaced; its id."""
        text = SERVE
        for old, new in replacements.items():
            assert old in text
            text = text.replace(old, new)
        text = text.replace('HELD = ""', f'HELD = "{self.root}"')
        (self.root / "code" / "serve.py").write_text(text + f"# {time.time_ns()}\n")
        (self.root / "code" / "test_tiny.py").write_text(TESTS)
        self.git("add", "-A")
        self.git("commit", "-qm", f"Change {len(replacements)} things")
        return self.git("rev-parse", "HEAD").strip()

    def git(self, *words: str) -> str:
        identity = ("-c", "user.name=ann", "-c", "user.email=ann@example.org")
        command = ["git", "-C", str(self.root / "code"), *identity, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def publish(self, **facts: object) -> str:
        """A new version of the model; its version."""
        from tandem.flows.publish import publish

        folder = self.root / f"model-{time.time_ns()}"
        folder.mkdir()
        (folder / "model.json").write_text(json.dumps({"answer": 7, "made": time.time_ns()} | facts))
        (folder / "metrics.json").write_text(json.dumps({"accuracy": 0.9}))
        return publish("tiny", str(folder)).version

    def start(self, statement: str) -> subprocess.Popen[bytes]:
        """A flow in a process of its own, that a test may kill."""
        env = os.environ | {"PREFECT_API_URL": str(PREFECT_API_URL.value()), "PREFECT_HOME": str(PREFECT_HOME.value())}
        return subprocess.Popen([sys.executable, "-c", statement], env=env)

    def until(self, seen: Callable[[], object], process: subprocess.Popen[bytes], seconds: float = 240) -> None:
        """Wait for what this process makes true."""
        deadline = time.monotonic() + seconds
        while not seen():
            assert process.poll() is None and time.monotonic() < deadline, process.poll()
            time.sleep(0.1)

    @contextmanager
    def held(self, step: str = "") -> Iterator[None]:
        """Meanwhile the app neither starts nor answers /slow; with a `step`, while a release is at that one.

        So a test may come late, and what it means to meet is still there.
        """
        file = self.root / "held"
        file.write_text(f'"step":"{step}"' if step else "")
        try:
            yield
        finally:
            file.unlink()

    def lease_is_over(self) -> None:
        """What a minute does to a lock whose holder is dead."""
        with get_client(sync_client=True) as client:
            client.delete_global_concurrency_limit_by_name("release-tiny-local")

    def ask(self, path: str = "/answer") -> object:
        """What the users get."""
        return httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=60).json()


def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Telling gives up after some seconds, so that no run is held up. Here it waits: what is forgotten is told twice.

    Prefect's server may take a minute to answer, and git more than the 5 s that it is given.
    """
    from tandem.flows import deliver, follow, rounds, statuses, telling

    def wait_for_all(jobs: Mapping[str, Callable[[], None]], limit: float = 0.0) -> dict[str, str]:
        return send_all(jobs, max(limit, 120.0))

    for module in (deliver, rounds, telling):
        monkeypatch.setattr(module, "PATIENCE", 240.0)
    for module in (deliver, statuses, telling):
        monkeypatch.setattr(module, "send_all", wait_for_all)
    monkeypatch.setattr(follow, "connect", lambda patience=240.0: connect(patience=240.0))


@pytest.fixture
def team(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    with web() as double:
        monkeypatch.setenv("TEAM_CHAT", double.json_url)
        yield double


@pytest.fixture
def author(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mail]:
    with mail() as double:
        monkeypatch.setenv("SMTP", f"mailto://walter:hush-hush-7@127.0.0.1:{double.port}?from=tandem@example.org")
        yield double


@pytest.fixture
def line(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Line]:
    """A line with one commit and one model; mark `more` puts lines into [environments.local] and behind it."""
    monkeypatch.setenv("TANDEM_ROOT", str(tmp_path))
    monkeypatch.setenv("PREFECT_API_URL", server)
    patient(monkeypatch)
    (tmp_path / "deployments" / "tiny").mkdir(parents=True)
    (tmp_path / "code").mkdir()
    port = free_port()
    more = request.node.get_closest_marker("more")
    toml = APP_TOML.format(port=port, more=more.args[0] if more else "")
    (tmp_path / "deployments" / "tiny" / "app.toml").write_text(toml)
    line = Line(tmp_path, port)
    line.git("init", "-q", "-b", "main")
    line.commit()
    line.publish()
    yield line
    from tandem.flows.backends import target
    from tandem.flows.zombies import BEGUN, FLOWS
    from tandem.settings import Settings
    from tandem.triggers import runs

    for run in [run for flow in FLOWS for run in runs.in_states(flow, BEGUN)]:
        # killed before its first heartbeat it would pass for somebody's own process, and the next test wait for it
        runs.crashed(run.id, "the test that killed it is over")
    settings = Settings.load("tiny")
    for environment in settings.toml.environments:
        target(settings, environment).stop()
