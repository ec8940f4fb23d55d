import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from tandem.records import Commit, Source
from tandem.settings import SourceSettings, SuiteSettings
from tandem.source import Repository, SuiteReport, run_suite
from tandem.source.sandbox import bubblewrap

Open = Callable[..., Repository]


class Origin:
    """A real git repository that a developer works in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.git("init", "-q", "-b", "main")
        self.clock = 1_700_000_000

    def git(self, *words: str, stdin: str = "", **env: str) -> str:
        own = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder.parent),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            **{f"GIT_{who}_NAME": "Ada Lovelace" for who in ("AUTHOR", "COMMITTER")},
            **{f"GIT_{who}_EMAIL": "ada@example.org" for who in ("AUTHOR", "COMMITTER")},
        }
        options = {"input": stdin, "capture_output": True, "text": True}
        done = subprocess.run(["git", *words], cwd=self.folder, env=own | env, **options)
        assert done.returncode == 0, f"git {words}: {done.stderr}"
        return done.stdout.strip()

    def write(self, files: dict[str, str]) -> None:
        for name, content in files.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(content)

    def commit(self, subject: str = "Change", **files: str) -> str:
        """Commit these files (`app__main_py` is app/main.py); returns the full id."""
        self.write({name.replace("__", "/").replace("_py", ".py"): content for name, content in files.items()})
        self.clock += 60
        self.git("add", "-A")
        date = f"{self.clock} +0000"
        self.git("commit", "-q", "--allow-empty", "-m", subject, GIT_AUTHOR_DATE=date, GIT_COMMITTER_DATE=date)
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    """An empty repository, beside the root."""
    return Origin(tmp_path / "origin")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder that holds deployments/."""
    (tmp_path / "root" / "deployments").mkdir(parents=True)
    return tmp_path / "root"


@pytest.fixture
def open_(origin: Origin, root: Path) -> Iterator[Open]:
    """Opens the origin as a run would: each call is a new run."""

    def opened(**settings: object) -> Repository:
        return Repository(SourceSettings.model_validate({"repository": str(origin.folder)} | settings), "digits", root)

    return opened


PATHS = ("sh", "env", "sleep", "git", "cat")


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """.tandem of all suites here, so that pytest is installed once: for every worker of xdist too."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "home-of-suites"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(params=["bubblewrap", "no walls"])
def surroundings(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """The environment of a run, with pip's settings; once where bubblewrap works and once where there is none."""
    env = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    env |= {"HOME": str(tmp_path / "person"), "PATH": os.environ["PATH"]}
    if request.param == "no walls":
        (tmp_path / "bin").mkdir()
        for name in PATHS:
            (tmp_path / "bin" / name).symlink_to(str(shutil.which(name)))
        env["PATH"] = str(tmp_path / "bin")
    elif bubblewrap(env) is None:
        pytest.skip("bubblewrap is not installed or does not work here")
    return env


@dataclass
class Bench:
    """Writes an app, runs its suite as a flow would, and remembers what was said."""

    folder: Path
    home: Path
    surroundings: dict[str, str]
    said: list[str]

    def run(self, model_folder: str | None = None, **settings: object) -> SuiteReport:
        return run_suite(
            Source(
                Commit("a" * 40, "Ada", "ada@example.org", "Change", datetime(2026, 1, 1, tzinfo=UTC)), str(self.folder)
            ),
            SuiteSettings.model_validate({"command": "python -m unittest -v", "time_limit": 240} | settings),
            self.home,
            model_folder,
            self.said.append,
            self.surroundings,
        )

    def write(self, **files: str) -> None:
        for name, content in files.items():
            (self.folder / name.replace("_py", ".py").replace("_txt", ".txt")).write_text(content)


@pytest.fixture
def bench(tmp_path: Path, home: Path, surroundings: dict[str, str]) -> Bench:
    """An empty app."""
    (tmp_path / "app").mkdir()
    return Bench(tmp_path / "app", home, surroundings, [])


@dataclass(frozen=True)
class Mark:
    """The value of MARK, by which the processes of one suite are known."""

    value: str

    def processes(self) -> list[int]:
        found = []
        for file in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                if self.value.encode() in file.read_bytes():
                    found.append(int(file.parent.name))
        return found


@pytest.fixture
def mark(surroundings: dict[str, str]) -> Mark:
    """A mark in the environment of this test's suite."""
    if not Path("/proc/self/environ").exists():
        pytest.skip("there is no /proc to find processes in")
    surroundings["MARK"] = f"mark-{uuid4().hex}"
    return Mark(surroundings["MARK"])
