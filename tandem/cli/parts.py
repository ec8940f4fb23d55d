"""The processes that `tandem up` keeps on this machine, each started or found again: server, worker, receiver."""

import hashlib
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import httpx

from tandem.cli import children, environment, pool
from tandem.cli.deployments import POOL
from tandem.cli.environment import Server
from tandem.errors import TandemError
from tandem.triggers.api import Api

PORT, RECEIVER_PORT = 4200, 4280
WARM = (  # what a run finds imported: 140 MB that runs share, and a cloud's library takes a second each to import
    *(
        f"tandem.flows.{flow}"
        for flow in ("integrate", "release", "reconcile", "rollback", "publish", "prune", "approve")
    ),
    *(f"tandem.models.{store}" for store in ("azure_blob", "s3")),
    *(f"tandem.targets.{target}" for target in ("docker", "kubernetes.aks", "kubernetes.connect", "kubernetes.target")),
)
SERVER = "tandem.cli.prefect_server"
TANDEM = (sys.executable, "-c", "from tandem.cli import main; main()")  # the command, wherever it is installed
Say = Callable[[str], None]


def server(root: Path, say: Say) -> Server:
    """Prefect's server: the one that PREFECT_API_URL names, else this root's own, started where it does not run."""
    found = environment.server(root)
    if found and not found.ours:
        say(f"server: {found.page} (PREFECT_API_URL)")
        return found
    child, about, last = children.find(root, "server"), what(root, SERVER), environment.known(root, "url")
    if found and child and child.about == about:
        if _answers(root, found, seconds=30):
            say(f"server: runs at {found.page}")
            return found
        say("server: does not answer, started again")
    children.stop(root, "server")
    usual = httpx.URL(last).port or PORT if last else PORT  # its runs go on, and ask where it was
    for port in ports(usual):
        if port != usual:
            say(f"server: port {usual} is taken, {port} instead")
        found = Server(f"http://127.0.0.1:{port}/api", ours=True)
        argv = [sys.executable, "-m", SERVER, "start", "--host", "127.0.0.1", "--port", str(port)]
        children.start(root, "server", argv, env(root, found), about)
        if _answers(root, found, seconds=180):
            environment.note(root, "url", found.url)
            say(f"server: started at {found.page}")
            return found
    raise TandemError(f"Prefect's server did not start; the end of its log:\n{children.last_words(root, 'server')}")


def worker(root: Path, found: Server, api: Api, say: Say) -> None:
    """The worker: see tandem.triggers.warm."""
    child, about = children.find(root, "worker"), what(root, found.url)
    if child and child.about == about:
        say("worker: runs")
        return
    children.stop(root, "worker")
    for template in children.named(root, "template-"):
        children.forget(root, template)
    name = f"{socket.gethostname()}-{hashlib.sha256(str(root).encode()).hexdigest()[:6]}"
    argv = [sys.executable, "-m", "tandem.triggers.warm", "--pool", POOL, "--name", name]
    argv += ["--register", str(children.folder(root)), *(["--alone"] if found.ours else []), *WARM]
    began, deadline = datetime.now(UTC), time.monotonic() + 180
    children.start(root, "worker", argv, env(root, found), about)
    while not pool.worker_polls(api, name, began):
        if children.find(root, "worker") is None or time.monotonic() > deadline:
            raise TandemError(f"the worker did not start; the end of its log:\n{children.last_words(root, 'worker')}")
        time.sleep(0.2)
    say("worker: started")


def receiver(root: Path, found: Server, wanted: bool, say: Say) -> None:
    """The receiver of hooks, where an app has any."""
    child, about = children.find(root, "receiver"), what(root, found.url)
    if not wanted:
        if children.stop(root, "receiver"):
            say("receiver: ended, no app has [hooks] any more")
        return
    last = environment.known(root, "receiver")
    if child and child.about == about:
        say(f"receiver: runs at {last}")
        return
    children.stop(root, "receiver")
    usual = httpx.URL(last).port or RECEIVER_PORT if last else RECEIVER_PORT
    for port in ports(usual):
        if port != usual:
            say(f"receiver: port {usual} is taken, {port} instead: senders must be told")
        address = f"http://127.0.0.1:{port}"
        children.start(root, "receiver", [*TANDEM, "receive", "--port", str(port)], env(root, found), about)
        if _alive(root, "receiver", f"{address}/healthz", seconds=60):
            environment.note(root, "receiver", address)
            say(f"receiver: started at {address}")
            return
    raise TandemError(f"the receiver did not start; the end of its log:\n{children.last_words(root, 'receiver')}")


def env(root: Path, found: Server) -> dict[str, str]:
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


def what(root: Path, *more: str) -> str:
    """What a running child must have been started with to be the right one still."""
    return " ".join([str(root), sys.executable, version("prefect"), version("tandem-pipeline"), *more])


def _answers(root: Path, found: Server, seconds: float) -> bool:
    """Whether this root's server answers within that time; False as soon as it ended instead.

    Another's `tandem up` may have taken the port in the same moment, and then this server is about to end.
    """

    def ours(answer: httpx.Response) -> bool:
        document: Mapping[str, object] = answer.json()
        return document.get("home") == str(environment.home(root))

    return _alive(root, "server", f"{found.url}/admin/settings", seconds, ours)


def _alive(
    root: Path, name: str, url: str, seconds: float, right: Callable[[httpx.Response], bool] = lambda _: True
) -> bool:
    deadline = time.monotonic() + seconds
    with httpx.Client(timeout=5) as client:
        while children.find(root, name) and time.monotonic() < deadline:
            try:
                answer = client.get(url)
                if answer.is_success and right(answer):
                    return True
            except (httpx.TransportError, json.JSONDecodeError):
                pass  # not yet
            time.sleep(0.2)
    return False


def ports(usual: int) -> Iterator[int]:
    """The usual port where it is free, then free ones."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", usual))
            free = True
        except OSError:
            free = False
    if free:
        yield usual
    for _ in range(3):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        yield port
