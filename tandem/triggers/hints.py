"""Apps that somebody said changed, and one thread that starts their reconcile: many hints become one run.

Nothing is kept on disk: reconcile runs every minute anyway. The deployment has no concurrency limit: Prefect lets a
run that waits for one's slot sleep for 30 s, and here an app never has more than one run that has not begun.
"""

import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Condition, Thread

from tandem.errors import TandemError, UsageError
from tandem.triggers import runs
from tandem.triggers.api import Api, ApiError, NoServer

DEPLOYMENT = "reconcile/hinted"
PAUSE = 1.0  # seconds between two looks at, or starts of, one app's run
LONGEST = 15.0  # seconds between two tries while Prefect's server is away
BESIDE = 2  # runs of one app that may have begun and not ended: the next is held until one of them ends
STUCK = 60.0  # seconds; a run that began, or is Pending, for longer is not waited for


@dataclass
class _Hinted:
    """One app. It is dirty while more hints came than a run covers."""

    hints: int = 0
    covered: int = 0
    runs: dict[str, float] = field(default_factory=dict)  # that are not over, with the time of their start
    key: str = ""  # of a start whose answer is not known yet: asked again, it is the same run
    keyed: int = 0  # the hints when that was first asked for
    due: float = 0.0  # not before
    tries: int = 0  # that the server refused


class Hints:
    """`connect` gives the server's API, afresh after each trouble; `clock` is monotonic, in seconds."""

    def __init__(
        self, connect: Callable[[], Api], log: logging.Logger, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._connect, self._log, self._clock = connect, log, clock
        self._apps: dict[str, _Hinted] = {}
        self._dirty: dict[str, _Hinted] = {}
        self._changed = Condition()
        self._ended = False
        self._api: Api | None = None
        self._tries, self._quiet = 0, 0.0
        self._thread = Thread(target=self._run, name="starter", daemon=True)

    def __enter__(self) -> "Hints":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify()
        self._thread.join(2)  # it may be waiting for a server that hangs

    def note(self, app: str) -> None:
        """This app changed. Returns at once; its reconcile is started soon."""
        with self._changed:
            one = self._apps.setdefault(app, _Hinted())
            one.hints += 1
            if app not in self._dirty:
                self._dirty[app] = one
                self._changed.notify()

    def _run(self) -> None:
        while picked := self._pick():
            app, one, hints = picked
            pause, covered = PAUSE, one.covered
            try:
                covered = self._covered(app, one, hints)
                self._well(one)
            except Exception as trouble:  # the thread outlives whatever a server answers
                pause = self._trouble(app, one, trouble)
            with self._changed:
                one.covered, one.due = covered, self._clock() + pause
                if one.covered == one.hints:
                    del self._dirty[app]

    def _pick(self) -> tuple[str, _Hinted, int] | None:
        """The dirty app whose turn came first, as soon as it may be; None at the end."""
        with self._changed:
            while not self._ended:
                app, due = min(((app, one.due) for app, one in self._dirty.items()), key=_second, default=("", None))
                if due is None:
                    self._changed.wait()
                elif (wait := max(due, self._quiet) - self._clock()) > 0:
                    self._changed.wait(wait)
                else:
                    return app, self._dirty[app], self._dirty[app].hints
        return None

    def _covered(self, app: str, one: _Hinted, hints: int) -> int:
        """How many of the hints a run that has not begun covers: one there is, or a new one."""
        self._api = self._api or self._connect()
        if not one.key:
            waiting, begun = self._look(one)
            if waiting:
                return hints
            if begun >= BESIDE:
                return one.covered
            one.key, one.keyed = secrets.token_hex(16), hints
        run = runs.start(DEPLOYMENT, {"app": app}, one.key, self._api)
        one.key, one.runs[run] = "", self._clock()
        self._log.info("%s: reconcile is run %s", app, run)
        return one.keyed

    def _look(self, one: _Hinted) -> tuple[int, int]:
        """How many of the app's runs have not begun, and how many have and are not over."""
        waiting = begun = 0
        for known, started in list(one.runs.items()):
            run = runs.read(known, self._api)
            old = self._clock() - started > STUCK
            if run is None or run.over or (old and run.state != "SCHEDULED"):
                del one.runs[known]
            elif run.state in ("SCHEDULED", "PENDING"):
                waiting += 1
            else:
                begun += 1
        return waiting, begun

    def _well(self, one: _Hinted) -> None:
        if self._tries:
            self._log.info("Prefect's server starts reconciles again")
        self._tries, self._quiet, one.tries = 0, 0.0, 0

    def _trouble(self, app: str, one: _Hinted, trouble: Exception) -> float:
        """The pause before the next try, ever longer; said once.

        A server that is away is so for every app; one that refuses an app's run is asked for the others.
        """
        refused = isinstance(trouble, (ApiError, UsageError)) and not isinstance(trouble, NoServer)
        tries = one.tries if refused else self._tries
        if not tries:
            said = trouble if isinstance(trouble, TandemError) else repr(trouble)
            self._log.warning("%s: its reconcile is not started, and tried again until it is: %s", app, said)
        pause = min(0.5 * 2.0**tries, LONGEST)
        if refused:
            one.tries += 1
        else:
            self._tries, self._quiet, self._api = self._tries + 1, self._clock() + pause, None
        return pause


def _second(pair: tuple[str, float]) -> float:
    return pair[1]
