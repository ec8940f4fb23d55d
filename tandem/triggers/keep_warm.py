"""The worker's side of the warm template: started, kept alive and of the newest code; old ones run out."""

import importlib.util
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

MODULE = "tandem.triggers.template"


def code(modules: Sequence[str]) -> frozenset[tuple[str, int]]:
    """When each file of these modules' packages and of Tandem, and each folder of installed packages, was written."""
    packages = {Path(__file__).parents[1]}
    for module in modules:
        if (spec := importlib.util.find_spec(module)) and spec.origin:
            packages.add(Path(spec.origin).parent)
    found = set()
    for package in packages:
        found |= {_written(file) for file in package.rglob("*.py")}
    installed = (Path(folder) for folder in sys.path if folder.endswith("-packages"))
    return frozenset(found | {_written(folder) for folder in installed if folder.is_dir()})


def _written(path: Path) -> tuple[str, int]:
    try:
        return str(path), path.stat().st_mtime_ns
    except FileNotFoundError:
        return str(path), 0


@dataclass
class Warmth:
    """At most one template that takes requests; those before it end after their last run.

    `folder` is where it is asked, `register` where it can be found by its lock, `modules` what it imports.
    """

    register: Path
    modules: Sequence[str]
    environment: Callable[[], Mapping[str, str]]
    clock: Callable[[], float] = time.monotonic
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="tandem-")))
    current: subprocess.Popen[bytes] | None = None
    old: list[subprocess.Popen[bytes]] = field(default_factory=list)
    seen: frozenset[tuple[str, int]] = frozenset()
    failures: int = 0
    again: float = 0.0

    def keep(self) -> None:
        """See that the template lives; where it does not, runs start cold meanwhile."""
        for each in [each for each in self.old if each.poll() is not None]:
            (self.register / f"template-{each.pid}.json").unlink(missing_ok=True)  # a killed one's
            self.old.remove(each)
        if self.current and self.current.poll() is not None:
            self.failures = 0 if self.clock() > self.again + 60 else self.failures + 1
            self._retire()
        if self.current is None and self.clock() >= self.again:
            self.again = self.clock() + min(2.0**self.failures, 60)
            self.seen = code(self.modules)
            self._start()

    def renew(self) -> None:
        """See, before a run, that the template is of the newest code; where it is not, this run starts cold."""
        if self.current and (changed := code(self.modules) ^ self.seen):
            print(f"template: made anew, since {min(changed)[0]} changed", flush=True)
            self._retire()
            self.failures, self.again = 0, 0.0
            self.keep()

    def end(self) -> None:
        """Take no more requests, and leave nothing in the file system."""
        self._retire()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self) -> None:
        argv = [sys.executable, "-m", MODULE, str(self.folder), str(self.register), *self.modules]
        self.register.mkdir(parents=True, exist_ok=True)
        # a session of its own: what ends the worker's group leaves the runs
        self.current = subprocess.Popen(
            argv, env=dict(self.environment()), stdin=subprocess.PIPE, start_new_session=True
        )

    def _retire(self) -> None:
        if self.current:
            with suppress(FileNotFoundError):
                (self.folder / "current").unlink()
            if self.current.stdin:
                self.current.stdin.close()
            self.old.append(self.current)
            self.current = None
