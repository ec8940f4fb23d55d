"""`process:`: an environment on this machine, behind one address, held by a small process of its own."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from tandem.errors import ReleaseFailed
from tandem.records import Image, Progress, Running, Snapshot, State, Versioned
from tandem.settings import Request, Settings, VerifySettings
from tandem.targets import bundles, reach
from tandem.targets.launch import living, tail
from tandem.targets.program import Program
from tandem.targets.state import FileState
from tandem.targets.steering import moved, url_of
from tandem.targets.unpack import unpack, unpacked
from tandem.targets.verify import ask_all, failures, wait_ready
from tandem.targets.wire import Connection

STEADY = 0.5  # seconds after the switch that a new version is looked at: what kills it is often its first user


class ProcessTarget:
    """See Target in tandem/seams.py. `home` is .tandem/, `address` what app.toml says ("127.0.0.1:8080")."""

    def __init__(
        self,
        app: str,
        environment: str,
        home: Path,
        address: str,
        verify: VerifySettings,
        extra: tuple[Request, ...] = (),
        port: int = 8000,
    ) -> None:
        self.home, self.address, self.verify, self.extra, self.port = home, address, verify, extra, port
        self.folder = home / "environments" / f"{app}-{environment}"
        self.states = FileState(self.folder / "state.json", app, environment)

    @classmethod
    def open(cls, settings: Settings, environment: str) -> Self:
        """The target of an environment whose `target` is `process:`."""
        table, toml = settings.environment(environment), settings.toml
        name, asked, port = settings.app, table.verify.request, toml.image.port
        return cls(name, environment, settings.home, table.address, toml.verify, asked, port)

    def state(self) -> Versioned[State]:
        """What the state file holds."""
        return self.states.read()

    def record(self, state: Versioned[State]) -> Versioned[State]:
        """Write it, if nobody else did."""
        return self.states.write(state)

    def snapshot(self) -> Snapshot:
        """The digest that serves, or that a holder which is no more was to serve; empty where nothing is."""
        digest = reach.recorded(self.folder)["serving"]
        return Snapshot({"digest": digest} if digest else {})

    def roll_out(self, image: Image, expected: Versioned[State]) -> Iterator[Progress]:
        """Unpack, start aside, see it ready and right, lead users to it, end the old one, see the new one stay."""
        with self.states.held(expected.value):
            pass
        yield Progress(f"{self.verb} {image.digest}", 0, 4)
        program = self.fetch(image)
        yield from self._bring_in(program, expected, (*self.verify.request, *self.extra), STEADY)

    def preview(self, image: Image) -> list[str]:
        """Which digest would take which one's place."""
        serving = reach.recorded(self.folder)["serving"]
        return [f"{serving or 'nothing'} → {image.digest}"] if serving != image.digest else []

    def finish(self, image: Image) -> Iterator[Progress]:
        """Remove what neither serves nor is needed to go back to."""
        self.prune({reach.recorded(self.folder)["serving"], image.digest})
        yield from ()

    def restore(self, snapshot: Snapshot, expected: Versioned[State]) -> Iterator[Progress]:
        """What ran then runs again, from its bundle; no registry is needed. Raises ReleaseFailed, StateChanged."""
        digest = snapshot.content.get("digest")
        if not isinstance(digest, str):
            yield Progress("nothing ran before: stop what runs")
            with self.states.held(expected.value):
                reach.stop(self.folder, keep=False)
            return
        program = self.kept(digest)
        if program is None:
            yield self._left_serving(digest, expected)
            return
        try:
            yield from self._bring_in(program, expected, ())
        except ReleaseFailed as failure:
            raise ReleaseFailed(f"bringing back {digest}: {failure.reason}", "environment", failure.log) from failure

    def running(self) -> Running:
        """What the holder says, or what a killed holder left running.

        A current version that crashed is told of too: it is meant to run, and its address shows that it does not.
        """
        if connection := reach.connect(self.folder):
            with connection:
                status = connection.ask("status")
            versions = [version for version in (status["current"], *status["old"]) if version]
            digests = tuple(dict.fromkeys(version["digest"] for version in versions))
            current = status["current"]
            return Running(
                digests, url_of(status["address"]) if versions else None, reach.restarts(current) if current else 0
            )
        record = reach.recorded(self.folder)
        left = [app for app in record["apps"] if living(Path(app["life"]))]
        restarts = max((app["restarts"] for app in left), default=0)
        return Running(tuple(app["digest"] for app in left), url_of(record["address"]) if left else None, restarts)

    def log(self, lines: int = 50) -> str:
        """The last lines of what serves, or else of what was started last."""
        serving = reach.recorded(self.folder)["serving"]
        if serving:
            return tail(bundles.log_of(self.folder, serving), lines)
        logs = sorted((self.folder / "logs").glob("*.log"), key=lambda log: log.stat().st_mtime)
        return tail(logs[-1], lines) if logs else ""

    def stop(self) -> None:
        """End the holder and the app; state and bundles stay, and `resume` starts again what ran."""
        reach.stop(self.folder, keep=True)

    def resume(self) -> Iterator[Progress]:
        """Start what should run and does not, after `stop`, a reboot or a kill; nothing where all is well."""
        if self.running().digests and reach.connect(self.folder):
            return
        state = self.state()
        digest = reach.recorded(self.folder)["serving"] or (
            state.value.current and state.value.current.candidate.digest
        )
        if digest:
            yield from self.restore(Snapshot({"digest": digest}), state)

    # ── what `docker:` does otherwise ─────────────────────────────────────────────────────────────

    verb = "unpack"

    def fetch(self, image: Image) -> Program:
        """The image's program, once all that it needs is on this machine."""
        return bundles.program_of(unpack(image, self.folder / "images", self.home / "cache" / "layers"), self.folder)

    def kept(self, digest: str) -> Program | None:
        """The same for one that was fetched before, with no registry asked; None where it is gone."""
        bundle = unpacked(bundles.folder_of(self.folder, digest), digest)
        return bundles.program_of(bundle, self.folder) if bundle else None

    def prune(self, served: set[str | None]) -> None:
        """Remove what served neither now nor just before, and is not needed to go back to."""
        bundles.prune(self.home, self.folder, bundles.needed(self.state().value, served))

    # ── inside ────────────────────────────────────────────────────────────────────────────────────

    def _bring_in(
        self, program: Program, expected: Versioned[State], requests: tuple[Request, ...], steady: float = 0.0
    ) -> Iterator[Progress]:
        with reach.holder(self.folder, self.address) as holder:
            status = holder.ask("status")
            at = url_of(status["address"])
            if text := moved(status, self.address):
                yield Progress(text, 1, 4)
            if self._serves_well(status["current"], program.digest, at):
                yield self._left_alone(holder, program.digest, expected, at)
                return
            try:
                yield from self._try_and_promote(holder, program, expected, requests)
            except BaseException:
                with suppress(ConnectionError):
                    holder.ask("drop")
                raise
            yield Progress(f"users reach it at {at}; the old one finishes what it took", 3, 4)
            if steady:
                reach.see_it_stay(holder, steady, Path(program.log))
            reach.wait_for_old(holder)
            if steady:
                reach.see_it_stay(holder, 0.0, Path(program.log))
            yield Progress(f"only {program.digest} serves at {at}", 4, 4)

    def _left_alone(self, holder: Connection, digest: str, expected: Versioned[State], at: str) -> Progress:
        with self.states.held(expected.value):
            pass
        reach.wait_for_old(holder)
        return Progress(f"{digest} serves at {at} already", 4, 4)

    def _left_serving(self, digest: str, expected: Versioned[State]) -> Progress:
        """What has no bundle any more cannot be started; it need not be where it serves."""
        serves = "nothing serves now"
        if connection := reach.connect(self.folder):
            with connection:
                status = connection.ask("status")
                current, at = status["current"], url_of(status["address"])
                if self._serves_well(current, digest, at):
                    return self._left_alone(connection, digest, expected, at)
                serves = f"{current['digest']} ({current['state']}) is what users reach now" if current else serves
        raise ReleaseFailed(
            f"{digest} is not kept in {self.folder} any more and cannot be started: {serves}; 'tandem release' "
            "brings in the newest candidate",
            "environment",
        )

    def _try_and_promote(
        self, holder: Connection, program: Program, expected: Versioned[State], requests: tuple[Request, ...]
    ) -> Iterator[Progress]:
        log = Path(program.log)
        answer = _asked(holder, log, "start", program=asdict(program))
        if answer["gap"]:
            yield Progress("the app binds its port by itself: users wait until the new one is ready", 1, 4)
        yield Progress(f"started aside; waiting for GET {self.verify.ready}", 1, 4)
        place, source = url_of(answer["at"]), answer["source"]
        ready = wait_ready(place, self.verify, lambda: _dead(holder.ask("status")["tried"]), source)
        if ready.failure:
            raise ReleaseFailed(ready.failure, "candidate", tail(log))
        yield Progress(f"ready after {ready.seconds:.2f} s; asking {len(requests)} requests", 2, 4)
        if wrong := failures(ask_all(place, requests, source)):
            raise ReleaseFailed("; ".join(wrong), "candidate", tail(log))
        with self.states.held(expected.value):
            _asked(holder, log, "promote")

    def _serves_well(self, current: dict[str, Any] | None, digest: str, at: str) -> bool:
        if not current or current["digest"] != digest or current["state"] != "running":
            return False
        soon = self.verify.model_copy(update={"time_limit": min(15.0, self.verify.time_limit)})
        return wait_ready(at, soon).failure is None


def _asked(holder: Connection, log: Path, do: str, **details: object) -> dict[str, Any]:
    answer = holder.ask(do, **details)
    if "error" in answer:
        raise ReleaseFailed(answer["error"], answer["fault"], tail(log))
    return answer


def _dead(version: dict[str, Any] | None) -> str | None:
    if version is None:
        return "the holder knows nothing of it"
    if version["state"] == "running":
        return None
    return reach.ended(version["exit"])
