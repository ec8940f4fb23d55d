import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tandem.errors import BuildFailed, RegistryError
from tandem.images import cache
from tandem.records import Image, Source
from tandem.settings import ImageSettings

BUILDS = Path(__file__).with_name("builds.py")
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """start(source, "requirements.txt"): a build in another process; what is left of it is killed at the end."""
    running: list[subprocess.Popen[bytes]] = []

    def run(source: Source, *requirements: str, **variables: str) -> subprocess.Popen[bytes]:
        argv, env = [sys.executable, BUILDS, tmp_path, source.folder, "022", *requirements], os.environ | variables
        running.append(subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, start_new_session=True))
        return running[-1]

    yield run
    for process in running:
        process.kill()
        process.wait()


@pytest.fixture
def commit(source: Callable[..., Source], wheel: Callable[..., str]) -> Source:
    modules = {f"hello/m{number}.py": f"x = {number}\n" for number in range(300)}
    return source({"app.py": "", "requirements.txt": f"hello==1.0 --hash={wheel('hello', '1.0', modules)}\n"})


def test_a_build_killed_while_it_unpacks_leaves_nothing_half_and_the_next_one_is_whole(
    commit: Source, start: Start, tmp_path: Path
) -> None:
    packages = tmp_path / ".tandem" / "cache" / "packages"
    killed = start(commit, "requirements.txt", DIES_AT="/hello/m7.py")
    assert killed.wait(240) == -signal.SIGKILL
    half = [*packages.glob(".*.new/venv/lib/*/*/hello/m6.py")]
    assert half and not [path for path in packages.iterdir() if path.is_dir() and not path.name.startswith(".")]

    first, second = start(commit, "requirements.txt"), start(commit, "requirements.txt")  # and two at once
    digests = {process.communicate(timeout=240)[0] for process in (first, second)}
    assert len(digests) == 1 and (first.returncode, second.returncode) == (0, 0)
    tree = next(path for path in packages.iterdir() if path.is_dir())
    assert len([*tree.glob("lib/*/*/hello/m*.py")]) == len([*tree.glob("lib/*/*/hello/__pycache__/m*.pyc")]) == 300
    assert [path.name for path in packages.iterdir() if path.name.startswith(".")] == []


def test_a_full_disk_is_said_and_leaves_nothing_half(
    commit: Source, settings: Callable[..., ImageSettings], build: Callable[..., Image], tmp_path: Path
) -> None:
    root = tmp_path / "small"
    root.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", root], check=False).returncode:
        pytest.skip("only root can mount a small disk")
    try:
        with pytest.raises((BuildFailed, RegistryError), match=r"[Nn]o space|no room"):
            build(commit, settings(requirements="requirements.txt"), root)
        assert [path for path in root.rglob("*") if path.is_file() and path.stat().st_size] == []
    finally:
        subprocess.run(["umount", "-l", root], check=True)


def test_only_the_trees_used_last_are_kept_and_none_that_is_in_use(tmp_path: Path) -> None:
    names = [f"tree{number}" for number in range(cache.TREES + 3)]
    for age, name in enumerate(reversed(names)):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (age, age))
    with cache.alone(tmp_path, names[-1]):  # the oldest, and somebody is at it
        cache.used(tmp_path, names[-2])
    left = {path.name for path in tmp_path.iterdir() if path.is_dir()}
    assert left == {names[-2], names[-1], *names[: cache.TREES - 1]}
