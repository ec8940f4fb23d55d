"""A clone with Tandem up, for all that a person does there. The strangers' apps bring tests of their own."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import prefect_server

collect_ignore = ["strangers"]
CHECKOUT = Path(__file__).parents[2]
Tandem = Callable[..., str]


@pytest.fixture(scope="session")
def tandem() -> Tandem:
    """Runs the command in a folder, as a person does there; what it printed."""

    def run(root: Path, *words: str) -> str:
        env = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "TANDEM_"))}
        command = [str(Path(sys.executable).parent / "tandem"), *words]
        done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def ask_for_less(toml: Path) -> None:
    """Have the sample's own suite run in part: `make demo`, in .ci/run, runs the whole of it."""
    text = toml.read_text()
    assert ' tests/app"' in text
    toml.write_text(text.replace(' tests/app"', ' tests/app/test_score.py"'))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Prefect server for one file's tests: one that is idle takes a sixth of a processor."""
    with prefect_server(tmp_path_factory.mktemp("prefect")) as api:
        yield api


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory, tandem: Tandem) -> Iterator[Path]:
    """A clone of this repository with Tandem up, and a model published."""
    root = tmp_path_factory.mktemp("clone") / "tandem"
    subprocess.run(["git", "clone", "-q", str(CHECKOUT), str(root)], check=True)
    ask_for_less(root / "deployments" / "digits" / "app.toml")
    subprocess.run([sys.executable, "app/train.py", str(root / "model")], cwd=CHECKOUT, check=True)
    try:
        tandem(root, "up")
        tandem(root, "publish", "digits", str(root / "model"))
        yield root
    finally:
        tandem(root, "down", "--everything")


@pytest.fixture
def new_model(clone: Path, tandem: Tandem) -> Path:
    """A model that nobody integrated yet, published; its folder."""
    folder = clone / "model"
    (folder / "notes.txt").write_text(str(time.time_ns()))
    tandem(clone, "publish", "digits", str(folder))
    return folder
