"""The supervisor: one small process per root that starts again what died, and ends what no longer answers.

It knows the parts by their files in .tandem/run/: a file whose lock nobody holds is a part that died. What is to be
done then is what `tandem up` does, in a process of its own. Standard library only: it is there all the time.
"""

import argparse
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from tandem.cli import children, environment, logs
from tandem.errors import TandemError

PARTS = ("server", "worker", "receiver")
TURN, PROBE_EVERY, PROBE_WITHIN = 0.5, 5.0, 5.0  # seconds
WITHIN = 600  # seconds for what mends
SILENT = 3  # probes in a row that failed
PULSE = 30.0  # seconds after which a worker's pulse counts as missed
CALM = 120.0  # seconds without trouble after which the next restart is immediate again


@dataclass
class Supervisor:
    """What was seen of each part, and when the next restart may be."""

    root: Path
    mend: Callable[[], bool]
    say: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    missed: dict[str, int] = field(default_factory=dict)
    probed: float = 0.0
    failures: int = 0
    mended: float = float("-inf")

    def turn(self) -> None:
        """Look at every part once, and mend where one is not well. Nothing while an `up` or `down` is at work."""
        if not _nobody_else(self.root):
            self.missed.clear()
            return
        if self.clock() >= self.probed + PROBE_EVERY:
            self.probed = self.clock()
            self._probe()
            logs.bound(self.root)
        ill = [name for name in PARTS if children.known(self.root, name) and not children.find(self.root, name)]
        for name, missed in list(self.missed.items()):
            if missed >= SILENT:
                self.missed[name] = 0
                self.say(f"{name}: does not answer, ended")
                children.end(self.root, name, patience=1.0)
                ill.append(name)
        if ill and self.clock() >= self.mended + self._pause():
            self._mend(ill)

    def _mend(self, ill: list[str]) -> None:
        if self.clock() > self.mended + CALM:
            self.failures = 0
        self.failures += 1
        self.say(f"{', '.join(ill)}: gone, start again")
        self.mend()
        self.mended = self.clock()
        self.missed.clear()

    def _pause(self) -> float:
        """Seconds between two restarts: 0 at first, then 1, 2, 4 … 60."""
        return 0.0 if self.failures == 0 or self.clock() > self.mended + CALM else min(2.0 ** (self.failures - 1), 60)

    def _probe(self) -> None:
        for name, url in (("server", environment.known(self.root, "url")), ("receiver", None)):
            address = f"{url}/health" if name == "server" else self._receiver()
            if address and children.find(self.root, name):
                self._count(name, answers(address))
        if (pulse := children.pulse(self.root, "worker")) is not None and children.find(self.root, "worker"):
            self._count("worker", self.wall() - pulse < PULSE)

    def _receiver(self) -> str | None:
        url = environment.known(self.root, "receiver")
        return f"{url}/healthz" if url else None

    def _count(self, name: str, well: bool) -> None:
        self.missed[name] = 0 if well else self.missed.get(name, 0) + 1


def answers(url: str, within: float = PROBE_WITHIN) -> bool:
    """Whether anything at all answers there in time: a refusal is an answer, too."""
    where = urlsplit(url)
    connection = HTTPConnection(where.hostname or "", where.port, timeout=within)
    try:
        connection.request("GET", where.path)
        return bool(connection.getresponse().status)
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def run(argv: list[str], root: Path, say: Callable[[str], None], environ: Mapping[str, str]) -> bool:
    """Run it, each line of its output into the log; whether it did what it should."""
    try:
        done = subprocess.run(
            argv,
            cwd=root,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=WITHIN,
            check=False,
        )
    except subprocess.TimeoutExpired:
        say(f"{' '.join(argv[-2:])}: not done within {WITHIN} s")
        return False
    for line in (done.stdout + done.stderr).splitlines():
        say(line)
    return done.returncode == 0


def main() -> None:
    """`python -m tandem.cli.supervise ROOT [--foreground LOCK]`: until SIGTERM; in the foreground all ends with it."""
    words = argparse.ArgumentParser(prog="tandem's supervisor")
    words.add_argument("root", type=Path)
    words.add_argument("--foreground", type=int, metavar="LOCK", help="the descriptor of its lock")
    said = words.parse_args()
    root: Path = said.root

    def say(line: str) -> None:
        whole = f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}"
        print(whole, flush=True)
        if said.foreground:  # there, the terminal or the journal has it; in the background, the file already
            with children.log(root, "supervisor").open("a") as log:
                log.write(f"{whole}\n")

    def end(*_: object) -> None:
        raise SystemExit(0)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    supervisor = Supervisor(root, lambda: run([sys.executable, "-m", "tandem.cli.mend"], root, say, os.environ), say)
    try:
        while True:
            try:
                supervisor.turn()
            except (TandemError, OSError) as trouble:  # it goes on: nobody else looks after the rest
                say(str(trouble))
            time.sleep(TURN)
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        if said.foreground and _nobody_else(root):
            os.close(said.foreground)
            run([sys.executable, "-c", "from tandem.cli import main; main()", "down"], root, say, os.environ)


def _nobody_else(root: Path) -> bool:
    """Whether this end is ours to carry out: an `up` or `down` that holds the root ends us for its own reasons."""
    file = root / ".tandem" / "up.lock"
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


if __name__ == "__main__":
    main()
