"""Tandem's worker on a pool of its own, with one deployment, for tests."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from tandem.triggers import runs
from tandem.triggers.api import Api, ApiError, connect

Found = TypeVar("Found")
STUB, CHECKOUT = Path(__file__).parent / "stub", Path(__file__).parents[2]


def until(condition: Callable[[], Found], seconds: float = 240.0, what: Callable[[], object] = str) -> Found:
    """What `condition` gives as soon as it gives anything."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"nothing came of it within {seconds} s: {what()}"
        time.sleep(0.05)
    return found


@dataclass
class Work:
    """A pool, a worker and the deployment `warmly`, in a folder that is removed afterwards."""

    folder: Path
    api: Api
    url: str
    pool: str
    deployment: str
    worker: subprocess.Popen[bytes] | None = None
    ended: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start_worker(self, *words: str) -> None:
        """Start a worker; the one before it must be gone."""
        if self.worker:
            self.ended.append(self.worker)
        env = os.environ | {"PREFECT_API_URL": self.url, "PYTHONPATH": str(self.folder / "code")}
        env |= {"PREFECT_WORKER_QUERY_SECONDS": "1", "PREFECT_HOME": str(self.folder / "home")}
        argv = [sys.executable, "-m", "tandem.triggers.warm", "--pool", self.pool, "--name", self.pool]
        with (self.folder / "log").open("ab") as log:
            self.worker = subprocess.Popen(
                [*argv, "--register", str(self.folder / "run"), *words, "warmly"], env=env, stdout=log, stderr=log
            )

    def run(self, parameters: Mapping[str, object] = {}, **more: object) -> str:
        """Ask for a run; its id. Its note is in the file of that name."""
        note = self.folder / f"note-{time.time_ns()}"
        body = {"parameters": {"note": str(note)} | dict(parameters), "idempotency_key": note.name} | more
        made = self.api.post(f"deployments/{self.deployment}/create_flow_run", body)
        (self.folder / str(made["id"])).symlink_to(note)
        return str(made["id"])

    def note(self, run: str) -> dict[str, object]:
        """What the run said of itself when it began."""
        file = self.folder / run
        return dict(json.loads(until(lambda: file.exists() and file.read_text(), what=lambda: self.said(run))))

    def forked(self, parameters: Mapping[str, object] = {}, **more: object) -> tuple[str, dict[str, object]]:
        """A run that the template has forked, and its note: on a busy machine one may start cold, and is ended."""

        def one() -> tuple[str, dict[str, object]] | None:
            note = self.note(run := self.run(parameters, **more))
            if note["parent"] == self.template():
                return run, note
            with suppress(ProcessLookupError):
                os.kill(int(str(note["pid"])), signal.SIGKILL)
            self.over(run)
            return None

        return until(one)

    def over(self, run: str) -> str:
        """The state in which it ended."""
        until(lambda: runs.read(run, self.api).over, what=lambda: self.said(run))
        return runs.read(run, self.api).state

    def said(self, run: str) -> str:
        """What there is to say of a run that does not do what it should."""
        return f"{runs.read(run, self.api)}\n{(self.folder / 'log').read_text(errors='replace')[-3000:]}"

    def template(self) -> int:
        """The process that takes requests now."""

        def answering() -> int | None:
            for file in (self.folder / "run").glob("template-*.json"):
                pid = json.loads(file.read_text() or "{}").get("pid")
                folder = _folder(pid)
                if folder and (folder / "current").exists() and (folder / "current").readlink().name == str(pid):
                    return int(pid)
            return None

        return until(answering, what=lambda: (self.folder / "log").read_text(errors="replace")[-3000:])


def _folder(pid: int | None) -> Path | None:
    with suppress(OSError, ValueError):
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        return Path(words[words.index("tandem.triggers.template") + 1])
    return None


@contextmanager
def working(url: str, folder: Path, pool: str) -> Iterator[Work]:
    """A pool with a worker and what it needs; at the end nothing of it is left."""
    shutil.copytree(STUB, folder / "code")
    shutil.copytree(CHECKOUT / "tandem", folder / "code" / "tandem")  # which nobody edits meanwhile
    (folder / "run").mkdir()
    api = connect({"PREFECT_API_URL": url}, patience=240)
    try:
        api.post("work_pools/", {"name": pool, "type": "process", "concurrency_limit": 4})
    except ApiError as error:  # an answer was lost, and the second try finds it there
        assert error.status == 409, error
    flow = api.post("flows/", {"name": f"warmly-{pool}"})["id"]
    body = {"name": pool, "flow_id": flow, "entrypoint": "warmly.warmly", "work_pool_name": pool, "pull_steps": []}
    work = Work(folder, api, url, pool, api.post("deployments/", body)["id"])
    work.start_worker()
    try:
        yield work
    finally:
        work.ended.append(work.worker)
        pids = [json.loads(file.read_text() or "{}").get("pid") for file in (folder / "run").glob("template-*.json")]
        for process in work.ended:
            process.kill()
            process.wait(60)
        for pid in filter(None, pids):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
                os.kill(pid, signal.SIGTERM)
        until(lambda: not any(_folder(pid) for pid in pids))
