"""The virtual environment of an app's tests: made once for the same requirements and the same interpreter."""

import contextlib
import hashlib
import importlib.util
import os
import platform
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tandem.errors import SuiteFailed, Unreachable
from tandem.run import Command, Finished, Say, run, without_secrets
from tandem.source import surroundings as variables
from tandem.source.folders import locked, remove
from tandem.source.requirements import Requirements
from tandem.source.sandbox import TEMPORARY, View, confined, interpreter, supervised

PIP_LIMIT = 1800.0  # seconds
STAMP = "tandem-complete"  # written last: without it, whoever made the environment was killed
_DOWN = (
    r"NewConnectionError|ConnectTimeout|ReadTimeout|Read timed out|Temporary failure|Connection (reset|refused|aborted)"
)


@dataclass(frozen=True)
class Workshop:
    """Where a suite is prepared and run: `tree` is its own copy of the commit, `bwrap` None without a sandbox."""

    home: Path
    scratch: Path
    tree: Path
    surroundings: Mapping[str, str]
    bwrap: str | None
    say: Say

    @property
    def temporary(self) -> str:
        """What programs in there are told as TMPDIR."""
        return TEMPORARY if self.bwrap else str(self.scratch / "tmp")

    def command(
        self, argv: tuple[str, ...], env: Mapping[str, str], limit: float, view: View, many: int = 0
    ) -> Command:
        """The command, supervised and, where that is possible, confined. `many`: processes allowed, 0 unlimited."""
        if self.bwrap is None:
            words = supervised(argv, limit, os.getpid(), many)
        else:
            words = confined(self.bwrap, supervised(argv, limit, 0, many), view)
        return Command(words, env, str(self.tree), time_limit=limit + 30)


@contextlib.contextmanager
def virtual_environment(workshop: Workshop, requirements: Requirements) -> Iterator[Path]:
    """The folder of an environment that holds the requirements; two runs at once make it once.

    One that installs something of the checkout itself is this run's alone. Raises SuiteFailed where they cannot be
    installed, Unreachable where the package index does not answer.
    """
    if requirements.local:
        venv = workshop.scratch / "venv"
        _make(workshop, requirements, venv)
        yield venv
        return
    venv = workshop.home / "venvs" / key(requirements)

    def waiting() -> None:
        workshop.say("another run is making the same virtual environment: waiting for it")

    with locked(venv.with_suffix(".lock"), PIP_LIMIT + 120, waiting):
        if (venv / STAMP).exists():
            workshop.say(f"virtual environment {venv.name}: made before")
        else:
            if venv.exists():
                remove(venv)
            _make(workshop, requirements, venv)
        (venv / STAMP).touch()
    yield venv


def pip_runner() -> Path | None:
    """The pip of Tandem's own interpreter, as `pip --python` starts it for another one: no time for ensurepip.

    None where there is none (an environment made by uv), or one older than 22.2.
    """
    found = importlib.util.find_spec("pip")
    runner = Path(found.origin).with_name("__pip-runner__.py") if found and found.origin else None
    return runner if runner and runner.exists() else None


def key(requirements: Requirements) -> str:
    """24 hex digits for what an environment is made of: requirements and interpreter."""
    python = f"{interpreter().resolve()} {platform.python_implementation()} {platform.python_version()}"
    words = f"{python} {platform.platform()} {requirements.digest}"
    return hashlib.sha256(words.encode()).hexdigest()[:24]


def _make(workshop: Workshop, requirements: Requirements, venv: Path) -> None:
    venv.parent.mkdir(parents=True, exist_ok=True)
    runner = pip_runner()
    pip = () if requirements.files and runner is None else ("--without-pip",)
    env = variables.basic(workshop.surroundings, venv) | {"TMPDIR": str(workshop.scratch / "tmp")}
    made = run(Command((str(interpreter()), "-I", "-m", "venv", *pip, str(venv)), env, "/", time_limit=300))
    if made.code:
        raise _no_venv(made)
    if not requirements.files:
        return
    workshop.say(f"virtual environment {venv.name}: installing {', '.join(requirements.files)}")
    cache = workshop.home / "cache" / "tests-pip"
    cache.mkdir(parents=True, exist_ok=True)
    seen = (*variables.pip_reads(workshop.surroundings), *([runner.parent] if runner else []))
    view = View(workshop.tree, workshop.scratch / "tmp", workshop.scratch / "home", seen, (workshop.tree, cache, venv))
    env = variables.for_pip(workshop.surroundings, venv, workshop.temporary, cache)
    options = ("--quiet", "--no-input", "--progress-bar=off", "--disable-pip-version-check")
    called = (str(runner),) if runner else ("-m", "pip")
    words = (str(venv / "bin/python"), *called, "install", *options)
    words += tuple(f"--requirement={name}" for name in requirements.files)
    installed = run(workshop.command(words, env, PIP_LIMIT, view), lambda text: workshop.say(without_secrets(text)))
    if installed.code:
        raise _not_installed(requirements, installed)


def _no_venv(made: Finished) -> SuiteFailed:
    words = " ".join(made.output.split())[-600:]
    if "ensurepip" in words:
        return SuiteFailed("Python's venv is incomplete here: install it (Debian: apt install python3-venv)")
    return SuiteFailed(f"the tests' virtual environment could not be made: {words}")


def _not_installed(requirements: Requirements, installed: Finished) -> SuiteFailed | Unreachable:
    tail = without_secrets("\n".join(installed.output.splitlines()[-15:]))
    names = ", ".join(requirements.files)
    if "No space left" in installed.output:
        return SuiteFailed(f"test.requirements {names}: the disk is full: make room (.tandem/venvs, .tandem/cache)")
    if re.search(_DOWN, installed.output):
        return Unreachable(f"test.requirements {names}: the package index did not answer:\n{tail}")
    return SuiteFailed(f"test.requirements {names} could not be installed (pip's exit code {installed.code}):\n{tail}")
