"""Tandem as a service on a machine of its own: a root with the tiny app, hooks, and a flow that sleeps."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import httpx

from tandem.cli import children, deployments, environment
from tandem.settings import Settings
from tandem.triggers import runs
from tandem.triggers.api import Api, connect
from tests.conftest import free_port
from tests.flows.conftest import APP_TOML, SERVE, TESTS

Found = TypeVar("Found")
STUB = Path(__file__).parents[1] / "cli" / "stub"
SLEEPY = """
- name: test
  entrypoint: sleepy.sleepy
  enforce_parameter_schema: true
  work_pool: {name: tandem, work_queue_name: default}
"""
SECRET = "a secret of the tests, long enough"
HOOKS = '[hooks]\ngeneric = { env = "HOOK_SECRET" }\n'


def until(condition: Callable[[], Found], seconds: float, what: Callable[[], object] = str) -> Found:
    """What `condition` gives as soon as it gives anything."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"nothing came of it within {seconds} s: {what()}"
        time.sleep(0.1)
    return found


@dataclass(frozen=True)
class Service:
    """One root, and what a test does to it."""

    root: Path
    port: int
    more: Mapping[str, str] = field(default_factory=dict)  # variables

    def env(self) -> dict[str, str]:
        """Nothing of the caller's but PATH."""
        said = {"PATH": os.environ["PATH"], "HOME": str(self.root), "PYTHONPATH": str(STUB), "LANG": "C.UTF-8"}
        return said | {"HOOK_SECRET": SECRET} | dict(self.more)

    def tandem(self, *words: str) -> str:
        """A `tandem` command; what it said."""
        done = subprocess.run(self.command(*words), cwd=self.root, env=self.env(), capture_output=True, text=True)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def command(self, *words: str) -> list[str]:
        return [str(Path(sys.executable).parent / "tandem"), *words]

    def api(self) -> Api:
        """Prefect's server as it is now."""
        return connect({"PREFECT_API_URL": str(environment.known(self.root, "url"))}, patience=240)

    def pid(self, name: str) -> int | None:
        """The living process of that name; of several templates the newest."""
        for each in reversed(children.named(self.root, name)):
            if child := children.find(self.root, each):
                return child.pid
        return None

    def kill(self, name: str, number: int = signal.SIGKILL) -> int:
        """Signal it; its process."""
        pid = self.pid(name)
        assert pid, f"no {name} to kill:\n{self.log()}"
        os.kill(pid, number)
        return pid

    def kill_together(self, *names: str) -> None:
        """As a power cut does. What ends with another may be gone before its turn."""
        pids = [self.pid(name) for name in names]
        assert all(pids), f"not all of {names} are there to kill:\n{self.log()}"
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def whole(self) -> bool:
        """Whether everything is there and answers."""
        parts = ("server", "worker", "receiver", "supervisor", "template")
        if not all(map(self.pid, parts)):
            return False
        try:
            for key, path in (("url", "/health"), ("receiver", "/healthz")):
                httpx.get(f"{environment.known(self.root, key)}{path}", timeout=30).raise_for_status()
        except (httpx.HTTPError, httpx.InvalidURL):
            return False
        return True

    def becomes_whole(self) -> None:
        """Wait for that."""
        until(self.whole, 300, self.log)

    def sleepy(self, seconds: float) -> tuple[str, Path]:
        """A run that has begun: its id and its note."""
        note = self.root / f"note-{time.time_ns()}"
        run = runs.start("sleepy/test", {"seconds": seconds, "note": str(note)}, api=self.api())
        until(lambda: note.exists() and note.read_text(), 240, self.log)
        return run, note

    def over(self, run: str) -> str:
        """The state in which a run ended."""
        until(lambda: (found := runs.read(run, self.api())) and found.over, 300, self.log)
        return runs.read(run, self.api()).state

    def state(self) -> dict[str, object]:
        """What is recorded of the tiny app's environment."""
        return json.loads((self.root / ".tandem/environments/tiny-local/state.json").read_text())["state"]

    def log(self) -> str:
        """The ends of all logs."""
        files = sorted((self.root / ".tandem" / "log").glob("*.log"))
        return "\n".join(f"== {file.name}\n{file.read_text(errors='replace')[-1500:]}" for file in files)

    def processes(self) -> list[str]:
        """Every process whose words or folder name this root, but the apps that it released."""
        found = []
        for folder in Path("/proc").iterdir():
            with suppress(OSError):
                words = (folder / "cmdline").read_text().replace("\0", " ") if folder.name.isdigit() else ""
                if words and str(self.root) in f"{words} {(folder / 'cwd').readlink()}" and "holder" not in words:
                    found.append(f"{folder.name} {words[:150]}")
        return [each for each in found if "serve.py" not in each and f"{os.getpid()} " not in each]


@contextmanager
def service(root: Path) -> Iterator[Service]:
    """A root, brought up; afterwards brought down, and nothing of it is left."""
    with brought_up(prepared(root)) as made:
        yield made


def prepared(root: Path, **more: str) -> Service:
    """A root with the tiny app and a flow that sleeps, and nothing that runs. `more`: variables."""
    (root / "deployments" / "tiny").mkdir(parents=True)
    (root / "code").mkdir()
    made = Service(root, free_port(), more)
    toml = APP_TOML.format(port=made.port, more="").replace("[source]", HOOKS + "[source]", 1)
    (root / "deployments" / "tiny" / "app.toml").write_text(toml)
    commit(made)
    yaml = deployments.document(deployments.wanted([Settings.load("tiny", root)]))
    (root / "prefect.yaml").write_text(yaml + SLEEPY)
    return made


@contextmanager
def brought_up(made: Service) -> Iterator[Service]:
    """What is in its root, brought up; afterwards brought down, and nothing of it is left."""
    try:
        made.tandem("up")
        yield made
    finally:
        made.tandem("down", "--everything")
        until(lambda: not made.processes(), 120, made.processes)


def commit(made: Service, **replacements: str) -> None:
    """A new commit of the tiny app, with texts of serve.py replaced."""
    text = SERVE
    for old, new in replacements.items():
        text = text.replace(old, new)
    text = text.replace('HELD = ""', f'HELD = "{made.root}"')
    (made.root / "code" / "serve.py").write_text(text + f"# {time.time_ns()}\n")
    (made.root / "code" / "test_tiny.py").write_text(TESTS)
    git = ["git", "-C", str(made.root / "code"), "-c", "user.name=ann", "-c", "user.email=ann@example.org"]
    for words in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-qm", "Change"]):
        subprocess.run([*git, *words], check=True)


def publish(made: Service) -> None:
    """A model of the tiny app."""
    folder = made.root / "model"
    folder.mkdir()
    (folder / "model.json").write_text(json.dumps({"answer": 7}))
    (folder / "metrics.json").write_text(json.dumps({"accuracy": 0.9}))
    made.tandem("publish", "tiny", str(folder))


def taken(port: int) -> socket.socket:
    """Another program at that port."""
    other = socket.socket()
    other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    other.bind(("127.0.0.1", port))
    other.listen()
    return other
