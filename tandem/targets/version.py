"""One version of the app as the holder keeps it: a program, the place it listens at, and its life."""

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tandem.errors import ReleaseFailed
from tandem.targets import launch
from tandem.targets.forward import Place
from tandem.targets.program import Program
from tandem.targets.steering import private

STEADY = 30.0  # seconds up after which earlier crashes are forgotten
LOOPING = 3  # crashes in a row that are a crash loop
LONGEST = 10.0  # seconds between two starts of a program that crashes


class Version:
    """Started once, restarted when it dies after `keep`, ended once.

    `lane`: the socket that it inherits on the users' address, or None; `place`: where it is reached otherwise.
    """

    def __init__(self, program: Program, life: Path, lane: socket.socket | None) -> None:
        self.program, self.life, self.lane = program, life, lane
        self.socket = lane if lane or program.kind != "listen" else private()
        self.place: Place = ("127.0.0.1", program.port)
        self.crashes, self.restarts = 0, 0
        self.exit: int | None = None
        self.ending = threading.Event()
        self.kept = False
        self.turn = threading.Lock()  # a start and the end exclude each other
        self._start()

    def _start(self) -> None:
        if self.socket:
            self.place = self.socket.getsockname()[:2]
        elif self.program.kind == "port":
            with private() as found:
                self.place = found.getsockname()[:2]
        else:
            _must_be_free(self.program.port)
        self.process = launch.start(self.program, self.place[1], self.socket, self.life)
        self.began, self.since = time.monotonic(), time.time()

    def watch(self, lost: Callable[[], None]) -> None:
        """Wait for its end, in a thread; start it again, ever more slowly, if it is kept; `lost` after each death."""
        threading.Thread(target=self._watch, args=(lost,), daemon=True).start()

    def _watch(self, lost: Callable[[], None]) -> None:
        while not self.ending.is_set():
            self.exit = self.process.wait()
            if self.ending.is_set():
                return
            launch.clear(self.process.pid, self.life)
            if not self.kept:
                lost()
                return
            self.crashes = 1 if time.monotonic() - self.began > STEADY else self.crashes + 1
            self.restarts += 1
            lost()
            if self.ending.wait(min(0.05 * 2**self.crashes, LONGEST)):
                return
            with self.turn, suppress(ReleaseFailed, OSError):
                if self.ending.is_set():
                    return
                self._start()
            lost()

    @property
    def state(self) -> str:
        """running, exited, restarting, crash looping, ending."""
        if self.ending.is_set():
            return "ending"
        if self.crashes >= LOOPING and time.monotonic() - self.began < STEADY:
            return "crash looping"
        if self.process.poll() is None:
            return "running"
        return "restarting" if self.kept else "exited"

    def let_go(self) -> None:
        """From now on it is not started again."""
        with self.turn:
            self.ending.set()

    def end(self, limit: float) -> launch.Ended:
        """SIGTERM, then SIGKILL; nothing of it is left, and its socket can be closed."""
        self.let_go()
        ended = launch.end(self.process, self.life, limit)
        self.life.unlink(missing_ok=True)
        return ended

    def report(self) -> dict[str, object]:
        """What `status` says of it."""
        return {
            "digest": self.program.digest,
            "pid": self.process.pid,
            "life": str(self.life),
            "state": self.state,
            "since": self.since,
            "restarts": self.restarts,
            "exit": self.process.poll() if self.exit is None else self.exit,
            "log": self.program.log,
            "kind": self.program.kind,
            "steered": self.lane is not None,
        }


def _must_be_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ReleaseFailed(
                f"port {port}, which the app binds by itself, is taken ({error.strerror}): end that program, or let "
                "[image] command say {listen} or {port}, and no port is fixed",
                "environment",
            ) from None
