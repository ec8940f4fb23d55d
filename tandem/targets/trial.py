"""Test an image: unpacked by digest and started as it will run, on an address that nobody else knows."""

import fcntl
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tandem.errors import ImageFailed, RegistryError, ReleaseFailed, Unreachable
from tandem.records import Image
from tandem.settings import VerifySettings
from tandem.targets import bundles, launch
from tandem.targets.program import Program
from tandem.targets.steering import private
from tandem.targets.unpack import unpack
from tandem.targets.verify import Check, ask_all, failures, wait_ready

STOP_LIMIT = 20.0  # seconds from SIGTERM to the end; platforms wait 30 and then lose what the app was doing


@dataclass(frozen=True)
class Trial:
    """An image that works: seconds to ready, what each request took, seconds from SIGTERM to the end.

    `where` it was tried ("docker 20.10.24" or "a process of this machine"), and `why` there.
    """

    ready_seconds: float
    checks: tuple[Check, ...]
    stop_seconds: float
    where: str = "a process of this machine"
    why: str = ""

    def __str__(self) -> str:
        asked = "; ".join(map(str, self.checks)) or "no requests in [verify]"
        place = f"in {self.where}{f' ({self.why})' if self.why else ''}"
        times = f"ready after {self.ready_seconds:.2f} s; {asked}; ended {self.stop_seconds:.2f} s after SIGTERM"
        return f"{place}: {times}"


def try_image(image: Image, verify: VerifySettings, folder: Path, cache: Path, stop_limit: float = STOP_LIMIT) -> Trial:
    """Start the image, see it ready and right, see it obey SIGTERM, leave nothing of it behind.

    `folder` holds the trials, `cache` is .tandem/cache. Raises ImageFailed with the app's last lines, Unreachable
    and RegistryError where the image cannot be fetched, ReleaseFailed where this machine cannot try it.
    """
    with living_folder(folder) as scratch:
        try:
            bundle = unpack(image, scratch / "images", cache / "layers")
            program = bundles.program_of(bundle, scratch)
            return _try(program, verify, scratch, stop_limit)
        except ReleaseFailed as failure:
            if isinstance(failure.__cause__, Unreachable | RegistryError):
                raise failure.__cause__ from None
            if failure.fault == "environment":
                raise
            raise ImageFailed(_told(image, failure)) from None


def _try(program: Program, verify: VerifySettings, scratch: Path, stop_limit: float) -> Trial:
    log, life = Path(program.log), scratch / "life"
    with private() as door:
        port: int = door.getsockname()[1]
        prefix, listening = _way_in(program, door)
        if program.kind == "fixed" and not prefix:
            port = program.port
        process = launch.start(program, port, listening, life, prefix)
        door.close()  # the app's now: when it dies, nobody waits in the queue
        (scratch / "pid").write_text(str(process.pid))
        try:
            ready = wait_ready(f"http://127.0.0.1:{port}", verify, lambda: _ended(process))
            if ready.failure:
                raise ReleaseFailed(ready.failure + _hint(ready.failure, program), "candidate", launch.tail(log))
            checks = ask_all(f"http://127.0.0.1:{port}", verify.request)
            if wrong := failures(checks):
                raise ReleaseFailed("; ".join(wrong), "candidate", launch.tail(log))
            ended = launch.end(process, life, stop_limit, _child(process.pid) if prefix else None)
            if not ended.obeyed:
                why = (
                    f"it did not end within {stop_limit:g} s of SIGTERM and was killed: each release would wait for it"
                )
                raise ReleaseFailed(why, "candidate", launch.tail(log))
            return Trial(ready.seconds, checks, ended.seconds)
        finally:
            launch.end(process, life, 0.0)
            launch.bound(log)


def _hint(failure: str, program: Program) -> str:
    """What to look at where nobody listened: the port is app.toml's word, or the app's."""
    if "refused" not in failure:
        return ""
    if program.kind == "fixed":
        return f": nothing listens on {program.port}; is that the port it binds ([image] port)?"
    return ": it never listened where [image] command told it to"


def _way_in(program: Program, door: socket.socket) -> tuple[tuple[str, ...], socket.socket | None]:
    """How the app is reached: what goes before its argv, and the socket that it inherits.

    An app that binds a port by itself, which another program has, gets a network of its own, where bubblewrap can
    make one; ReleaseFailed by the environment's fault where it cannot.
    """
    if program.kind == "listen":
        return (), door
    if program.kind == "port":
        door.close()
        return (), None
    with socket.socket() as probe, suppress(OSError):
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", program.port))
        return (), None
    bubble = ("bwrap", "--dev-bind", "/", "/", "--unshare-net", "--")
    if shutil.which("bwrap") and subprocess.run([*bubble, "true"], capture_output=True, check=False).returncode == 0:
        inside = (sys.executable, "-m", "tandem.targets.inside", str(door.fileno()), str(program.port))
        return (*bubble, *inside), door
    raise ReleaseFailed(
        f"port {program.port}, which the app binds by itself, is taken by another program: end it, install bubblewrap, "
        "or let [image] command say {listen} or {port}",
        "environment",
    )


def _child(bubble: int) -> int | None:
    """The app's process below bubblewrap (Linux)."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(status.read_text().rpartition(")")[2].split()[1]) == bubble:
                return int(status.parent.name)
    return None


def _ended(process: subprocess.Popen[bytes]) -> str | None:
    code = process.poll()
    return None if code is None else f"the app ended (exit code {code})"


def _told(image: Image, failure: ReleaseFailed) -> str:
    log = f"\nthe last that it printed:\n{failure.log}" if failure.log else "\nit printed nothing"
    return f"{image} does not work: {failure.reason}{log}"


@contextmanager
def living_folder(folder: Path, clear: Callable[[], None] = lambda: None) -> Iterator[Path]:
    """A trial's own folder, locked while the trial lives; what trials that were killed left behind is ended first.

    `clear` ends what they left elsewhere; a trial lives while `launch.living` says so of the file `lock` in its folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as living:
        with (folder / ".lock").open("w") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            clear()
            _clear(folder)
            scratch = Path(tempfile.mkdtemp(prefix=f"{time.strftime('%H%M%S')}-", dir=folder))
            living.callback(shutil.rmtree, scratch, ignore_errors=True)
            fcntl.flock(living.enter_context((scratch / "lock").open("w")), fcntl.LOCK_EX)
        yield scratch


def _clear(folder: Path) -> None:
    for scratch in folder.glob("[0-9]*"):
        if not launch.living(scratch / "lock"):
            try:
                launch.end_orphan(int((scratch / "pid").read_text()), scratch / "life", 2.0)
            except (OSError, ValueError):  # killed before it was written whole
                launch.clear(None, scratch / "life")
            shutil.rmtree(scratch, ignore_errors=True)
