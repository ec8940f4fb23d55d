"""What a holder does: start a version where no user comes, lead users to it, end the one before."""

import json
import os
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from tandem.errors import ReleaseFailed
from tandem.targets import launch
from tandem.targets.forward import PATIENCE, Forwarder, Place
from tandem.targets.program import Program
from tandem.targets.steering import Steering
from tandem.targets.version import Version

SETTLE = 0.5  # seconds that an old version goes on serving: a connection it just took has not sent its request yet
DRAIN = 2.0  # seconds for connections that are passed on
LIMIT = 30.0  # seconds from SIGTERM to SIGKILL
TICK = 2.0  # seconds between two looks at the logs' sizes


class Holding:
    """What serves (`current`), what is being tried (`tried`, by the connection that asked), what is ending."""

    def __init__(self, folder: Path, asked: str, door: socket.socket) -> None:
        self.folder, self.asked, self.door = folder, asked, door
        self.steering = Steering(door)
        self.lock = threading.Condition()
        self.current: Version | None = None
        self.paused: Program | None = None  # gave up its fixed port to the version being tried
        self.tried: dict[object, Version] = {}
        self.old: list[Version] = []
        self.numbered = 0
        self.over = threading.Event()
        self.forwarder = Forwarder(self.users_go_to)
        self.forwarder.serve(door)
        self.record()

    def users_go_to(self) -> Place | None:
        """Where a connection is passed on to that arrived at the door, or in the queue of an old version."""
        with self.lock:
            self.lock.wait_for(lambda: self.paused is None, PATIENCE)
            if self.current is None:
                return None
            return (self.steering.host, self.steering.port) if self.current.lane else self.current.place

    # ── requests ──────────────────────────────────────────────────────────────────────────────────

    def answer(self, request: dict[str, Any], key: object) -> dict[str, Any]:
        """The answer to one request; `{"error", "fault"}` where it cannot be done."""
        try:
            match request["do"]:
                case "start":
                    program = Program(**{**request["program"], "argv": tuple(request["program"]["argv"])})
                    return self.start(program, key)
                case "promote":
                    return self.promote(key)
                case "drop":
                    self.left(key)
                case "stop":
                    self.stop(keep=bool(request.get("keep")))
                case "status":
                    return self.status(key)
                case unknown:
                    return {"error": f"unknown request {unknown!r}", "fault": "environment"}
            return {}
        except ReleaseFailed as failure:
            return {"error": failure.reason, "fault": failure.fault}
        except OSError as error:
            return {"error": f"the holder in {self.folder}: {error}", "fault": "environment"}

    def start(self, program: Program, key: object) -> dict[str, Any]:
        """Start a version where no user comes; says from where and to where it is reached for a check."""
        with self.lock:
            self.left(key)
            gap = self._make_room(program)
            lane = self.steering.lane() if program.kind == "listen" else None
            try:
                version = self.tried[key] = self._version(program, lane)
            except BaseException:
                if lane:
                    self.steering.close(lane)
                self._restore_paused()
                raise
            self.record()
            at = (self.steering.host, self.steering.port) if lane else version.place
            return {"at": at, "source": lane and self.steering.source_of(lane), "gap": gap}

    def promote(self, key: object) -> dict[str, Any]:
        """Lead users to the version that this connection started, and end the one before."""
        with self.lock:
            version = self.tried[key]
            if version.process.poll() is not None:
                raise ReleaseFailed(f"it ended (exit code {version.process.returncode}) before the switch", "candidate")
            del self.tried[key]
            version.kept = True
            before, self.current, self.paused = self.current, version, None
            self.steering.lead_users(version.lane or self.door)
            self.lock.notify_all()
            if before:
                before.let_go()
                self.old.append(before)
            self.record()
            if before:
                threading.Thread(target=self._retire, args=(before,), daemon=True).start()
            return {"pid": version.process.pid}

    def left(self, key: object) -> None:
        """Whoever asked has gone: end the version that they started and did not promote."""
        with self.lock:
            version = self.tried.pop(key, None)
        if version:
            version.end(2.0)
            with self.lock:
                self._close(version)
                self._restore_paused()
                self.record()

    def stop(self, keep: bool) -> None:
        """End everything; with `keep` the record says what served, so that it can be resumed."""
        with self.lock:
            versions = [*self.tried.values(), *self.old, *([self.current] if self.current else [])]
            serving = self.serving
            self.tried, self.current, self.paused = {}, None, None
            self.steering.lead_users(self.door)
        ends = [threading.Thread(target=version.end, args=(LIMIT,)) for version in versions]
        for thread in ends:
            thread.start()
        for thread in ends:
            thread.join()
        with self.lock:
            self.over.set()
            self._write([], serving if keep else None, None)

    def status(self, key: object) -> dict[str, Any]:
        """Everything there is to know."""
        with self.lock:
            return {
                "pid": os.getpid(),
                "address": self.door.getsockname()[:2],
                "asked": self.asked,
                "current": self.current and self.current.report(),
                "tried": self.tried[key].report() if key in self.tried else None,
                "old": [version.report() for version in self.old],
            }

    # ── inside ────────────────────────────────────────────────────────────────────────────────────

    def _version(self, program: Program, lane: socket.socket | None) -> Version:
        self.numbered += 1
        version = Version(program, self.folder / "lives" / f"{os.getpid()}-{self.numbered}", lane)
        version.watch(lambda: self._lost(version))
        return version

    def _lost(self, version: Version) -> None:
        """A version died: one that was only tried is not waited for in the queue of its socket."""
        with self.lock:
            if not version.kept:
                self._close(version)
            self.record()

    def _make_room(self, program: Program) -> bool:
        """End what serves where both bind the same port by themselves; its users wait meanwhile."""
        if program.kind == "fixed" and program.port == self.door.getsockname()[1]:
            raise ReleaseFailed(
                f"the app binds port {program.port} by itself, and that is the environment's address: give "
                "[environments.NAME] another address, or let [image] command say {listen} or {port}",
                "environment",
            )
        current = self.current
        if not current or current.program.kind != "fixed" or program.kind != "fixed":
            return False
        if current.program.port != program.port:
            return False
        self.current, self.paused = None, current.program
        current.end(LIMIT)
        return True

    def _restore_paused(self) -> None:
        """Start again what made room, if the new one did not take its place."""
        if self.paused and not self.tried:
            self.current, self.paused = self._version(self.paused, None), None
            self.current.kept = True
            self.lock.notify_all()
            self.record()

    def _retire(self, version: Version) -> None:
        if version.lane:
            self.forwarder.serve(version.lane)  # what still waits in its queue is passed on to the new one
            self.over.wait(SETTLE)
        else:
            self.forwarder.drained(version.place, DRAIN)
        version.end(LIMIT)
        with self.lock:
            self._close(version)
            if version in self.old:
                self.old.remove(version)
            self.record()

    def _close(self, version: Version) -> None:
        if version.lane:
            self.steering.close(version.lane)
        elif version.socket:
            version.socket.close()

    @property
    def serving(self) -> str | None:
        """The digest of what is to run, for a holder that comes after this one."""
        program = self.current.program if self.current else self.paused
        return program.digest if program else None

    def record(self) -> None:
        """Write holder.json as things are."""
        with self.lock:
            if not self.over.is_set():
                versions = [*self.tried.values(), *self.old, *([self.current] if self.current else [])]
                self._write([version.report() for version in versions], self.serving, os.getpid())

    def _write(self, apps: list[dict[str, object]], serving: str | None, pid: int | None) -> None:
        address = self.door.getsockname()[:2]
        document = {"pid": pid, "address": address, "asked": self.asked, "serving": serving, "apps": apps}
        new = self.folder / "holder.json.new"
        new.write_text(json.dumps(document))
        new.replace(self.folder / "holder.json")

    def tend(self) -> None:
        """Bound the logs until all is over, or the folder is gone and nobody can ask for anything any more."""
        while not self.over.wait(TICK):
            for log in self.folder.glob("logs/*.log"):
                launch.bound(log)
            if not (self.folder / "holder.lock").exists():
                with suppress(OSError):
                    self.stop(keep=False)
