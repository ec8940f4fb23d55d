"""`tandem up` and `tandem down`: Prefect's server and a worker on this machine, found again and ended."""

import fcntl
import hashlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import httpx

from tandem.cli import children, environment, pool
from tandem.cli.deployments import POOL
from tandem.cli.environment import Server
from tandem.errors import TandemError
from tandem.settings import Settings
from tandem.triggers.api import Api, connect

PORT = 4200
Say = Callable[[str], None]


def up(root: Path, everything: Sequence[Settings], say: Say) -> Server:
    """Server, work pool, deployments and worker, each started or found; the server.

    With PREFECT_API_URL set, that server is used and none is started. Raises TandemError with the end of the
    log of what did not come up.
    """
    with _alone(root):
        found = _server(root, say)
        api = connect(os.environ | {"PREFECT_API_URL": found.url})
        pool.ensure(api, everything)
        if _apply(root, found):
            say("deployments: applied from prefect.yaml")
        _worker(root, found, api, say)
    return found


def down(root: Path, say: Say) -> None:
    """End the worker, then the server; runs that were cut short are marked as crashed, so that reconcile ends them."""
    with _alone(root):
        found = environment.server(root)
        if children.stop(root, "worker"):
            say("worker: ended")
        if found and found.ours:
            with_runs = connect({"PREFECT_API_URL": found.url}, patience=5)
            for cut in pool.end_runs(with_runs):
                if cut.pid and children.end_other(cut.pid, f"PREFECT__FLOW_RUN_ID={cut.id}"):
                    say(f"run {cut.name}: its worker was gone, ended")
                say(f"run {cut.name} ({cut.id}): cut short, marked as crashed")
        if children.stop(root, "server"):
            say("server: ended")
        (root / ".tandem" / "up.json").unlink(missing_ok=True)


def _server(root: Path, say: Say) -> Server:
    found = environment.server(root)
    if found and not found.ours:
        say(f"server: {found.page} (PREFECT_API_URL)")
        return found
    child, about = children.find(root, "server"), _about(root)
    if found and child and child.about == about:
        say(f"server: runs at {found.page}")
        return found
    children.stop(root, "server")
    for port in _ports():
        if port != PORT:
            say(f"server: port {PORT} is taken, {port} instead")
        found = Server(f"http://127.0.0.1:{port}/api", ours=True)
        argv = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
        children.start(root, "server", argv, _env(root, found), about)
        if _healthy(root, found):
            (root / ".tandem" / "up.json").write_text(json.dumps({"url": found.url}))
            say(f"server: started at {found.page}")
            return found
    raise TandemError(f"Prefect's server did not start; the end of its log:\n{children.last_words(root, 'server')}")


def _worker(root: Path, found: Server, api: Api, say: Say) -> None:
    child, about = children.find(root, "worker"), _about(root, found.url)
    if child and child.about == about:
        say("worker: runs")
        return
    children.stop(root, "worker")
    name = f"{socket.gethostname()}-{hashlib.sha256(str(root).encode()).hexdigest()[:6]}"
    argv = [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL, "--type", "process", "--name", name]
    began, deadline = datetime.now(UTC), time.monotonic() + 60
    children.start(root, "worker", argv, _env(root, found), about)
    while not pool.worker_polls(api, name, began):
        if children.find(root, "worker") is None or time.monotonic() > deadline:
            raise TandemError(f"the worker did not start; the end of its log:\n{children.last_words(root, 'worker')}")
        time.sleep(0.2)
    say("worker: started")


def _apply(root: Path, found: Server) -> bool:
    """Apply prefect.yaml where it, the flows, the versions, the folder or the server changed since the last time."""
    file, stamp = root / "prefect.yaml", environment.home(root) / "applied"
    flows = Path(__file__).resolve().parents[2] / "flows", Path(__file__).resolve().parents[1] / "flows"
    digest = hashlib.sha256(f"{_about(root)} {found.url.rpartition(':')[0] if found.ours else found.url}".encode())
    if not file.exists():
        raise TandemError(f"no {file}: 'tandem init' writes it from the app folders")
    for part in (file, *sorted(part for folder in flows for part in folder.glob("*.py"))):
        digest.update(hashlib.sha256(part.read_bytes()).digest())
    if stamp.exists() and stamp.read_text() == digest.hexdigest():
        return False
    argv = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(file)]
    done = subprocess.run(
        argv, cwd=root, env=_env(root, found), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise TandemError(f"prefect.yaml could not be applied:\n{(done.stdout + done.stderr).strip()[-1500:]}")
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(digest.hexdigest())
    return True


def _env(root: Path, found: Server) -> dict[str, str]:
    """What server, worker and flow runs read; the worker hands its own environment on to its runs."""
    environ = dict(os.environ) | environment.QUIET | environment.LEASES | {"TANDEM_ROOT": str(root)}
    for name, value in environment.HEARTBEATS.items():
        environ.setdefault(name, value)
    environ.setdefault("PREFECT_WORKER_QUERY_SECONDS", "1")
    environ.setdefault("PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED", '["events", "flow_runs"]')
    environ["PREFECT_API_URL"] = found.url
    if found.ours:
        environ["PREFECT_HOME"] = str(environment.home(root))
    environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environ.get("PATH", os.defpath)])
    return environ


def _about(root: Path, *more: str) -> str:
    """What a running child must have been started with to be the right one still."""
    return " ".join([str(root), sys.executable, version("prefect"), version("tandem-pipeline"), *more])


def _healthy(root: Path, found: Server) -> bool:
    """Wait until the server answers; False where it ended instead.

    What answers must be this root's: another's `tandem up` may have taken the port in the same moment, and then this
    server is about to end.
    """
    deadline, client = time.monotonic() + 180, httpx.Client(timeout=5)
    while children.find(root, "server"):
        try:
            answer = client.get(f"{found.url}/admin/settings")
            if answer.is_success and answer.json().get("home") == str(environment.home(root)):
                return True
        except httpx.TransportError as error:
            if time.monotonic() > deadline:
                raise TandemError(f"Prefect's server does not answer at {found.url}: {error}") from None
        time.sleep(0.2)
    return False


def _ports() -> Iterator[int]:
    """The usual port where it is free, then free ones."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", PORT))
            free = True
        except OSError:
            free = False
    if free:
        yield PORT
    for _ in range(3):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        yield port


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """One `up` or `down` at a time on this root."""
    file = root / ".tandem" / "up.lock"
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
