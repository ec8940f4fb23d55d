"""`tandem up` and `tandem down`: Prefect's server, a worker, a receiver on this machine, and what keeps them there."""

import fcntl
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tandem.cli import automations, children, environment, parts, pool
from tandem.cli.environment import Server
from tandem.cli.parts import Say
from tandem.errors import TandemError, Unreachable
from tandem.settings import Settings
from tandem.triggers.api import connect


def up(root: Path, everything: Sequence[Settings], say: Say) -> Server:
    """Server, work pool, deployments, worker, receiver and what watches them, each started or found; the server.

    With PREFECT_API_URL set, that server is used and none is started. Raises TandemError with the end of the
    log of what did not come up.
    """
    with _alone(root):
        found = _parts(root, everything, say)
        child, about = children.find(root, "supervisor"), parts.what(root, found.url)
        if child and child.about == about:
            say("supervisor: runs")
        else:
            children.stop(root, "supervisor")
            argv = [sys.executable, "-m", "tandem.cli.supervise", str(root)]
            children.start(root, "supervisor", argv, os.environ | {"TANDEM_ROOT": str(root)}, about)
            say("supervisor: started")
    return found


def unwatched(root: Path, everything: Sequence[Settings], say: Say) -> Server:
    """The same without the supervisor, for whoever becomes it."""
    with _alone(root):
        return _parts(root, everything, say)


def mend(root: Path, everything: Sequence[Settings], say: Say) -> None:
    """Start again what died of server, worker and receiver; apply nothing that a person may be writing just now."""
    with _alone(root):
        found = parts.server(root, say)
        api = connect(os.environ | {"PREFECT_API_URL": found.url})
        parts.worker(root, found, api, say)
        parts.receiver(root, found, _hooks(everything) or children.known(root, "receiver"), say)


def supervise(root: Path, found: Server) -> None:
    """Become the supervisor, in the place of any other; does not come back."""
    with _alone(root):
        children.stop(root, "supervisor")
        held = children.hold(root, "supervisor", parts.what(root, found.url))
    os.environ["TANDEM_ROOT"] = str(root)
    words = [sys.executable, "-m", "tandem.cli.supervise", str(root), "--foreground", str(held)]
    os.execv(sys.executable, words)  # noqa: S606


def down(root: Path, say: Say) -> None:
    """End the worker, then the server; runs that were cut short are marked as crashed, so that reconcile ends them."""
    with _alone(root):
        found = environment.server(root)
        for name in ("supervisor", "receiver", "worker"):
            if children.stop(root, name):
                say(f"{name}: ended")
        for name in children.named(root, "template-"):
            children.stop(root, name)
        if found and found.ours:
            _end_runs(found, say)
        if children.stop(root, "server"):
            say("server: ended")
        (root / ".tandem" / "up.json").unlink(missing_ok=True)


def _end_runs(found: Server, say: Say) -> None:
    try:
        for cut in pool.end_runs(connect({"PREFECT_API_URL": found.url}, patience=5)):
            if cut.pid and children.end_other(cut.pid, f"PREFECT__FLOW_RUN_ID={cut.id}"):
                say(f"run {cut.name}: its worker was gone, ended")
            say(f"run {cut.name} ({cut.id}): cut short, marked as crashed")
    except Unreachable as trouble:  # the next worker marks them
        say(f"runs that were cut short could not be marked: {trouble}")


def _parts(root: Path, everything: Sequence[Settings], say: Say) -> Server:
    found = parts.server(root, say)
    api = connect(os.environ | {"PREFECT_API_URL": found.url})
    pool.ensure(api, everything)
    if _apply(root, found):
        say("deployments: applied from prefect.yaml")
    for line in automations.ensure(api):
        say(line)
    parts.worker(root, found, api, say)
    parts.receiver(root, found, _hooks(everything), say)
    return found


def _hooks(everything: Sequence[Settings]) -> bool:
    return any(settings.toml.hooks for settings in everything)


def _apply(root: Path, found: Server) -> bool:
    """Apply prefect.yaml where it, the flows, the versions, the folder or the server changed since the last time."""
    file, stamp = root / "prefect.yaml", environment.home(root) / "applied"
    flows = Path(__file__).resolve().parents[2] / "flows", Path(__file__).resolve().parents[1] / "flows"
    digest = hashlib.sha256(f"{parts.what(root)} {found.url.rpartition(':')[0] if found.ours else found.url}".encode())
    if not file.exists():
        raise TandemError(f"no {file}: 'tandem init' writes it from the app folders")
    for part in (file, *sorted(part for folder in flows for part in folder.glob("*.py"))):
        digest.update(hashlib.sha256(part.read_bytes()).digest())
    if stamp.exists() and stamp.read_text() == digest.hexdigest():
        return False
    argv = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(file)]
    done = subprocess.run(
        argv,
        cwd=root,
        env=parts.env(root, found),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise TandemError(f"prefect.yaml could not be applied:\n{(done.stdout + done.stderr).strip()[-1500:]}")
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(digest.hexdigest())
    return True


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """One `up` or `down` at a time on this root."""
    file = root / ".tandem" / "up.lock"
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
