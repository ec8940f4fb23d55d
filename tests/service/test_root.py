"""The root repository comes onto a pod's disk, whole, and follows its branch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tandem.cli.root import RootRepository
from tandem.errors import SettingsError, SourceError


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=ann", "-c", "user.email=ann@example.org")
    done = subprocess.run(["git", "-C", str(folder), *identity, *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def commit(folder: Path, **files: str | None) -> str:
    """A commit that writes files, or removes those that are None; its id."""
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink() if text is None else file.write_text(text)
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", " ".join(files))
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def upstream(tmp_path: Path) -> Path:
    folder = tmp_path / "upstream"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    commit(folder, one="1", two="2")
    return folder


@pytest.fixture
def root(upstream: Path, tmp_path: Path) -> RootRepository:
    return RootRepository(str(upstream), "main", tmp_path / "root", os.environ)


def test_the_folder_is_what_the_branch_is_and_follows_it(root: RootRepository, upstream: Path) -> None:
    first = root.bring()
    assert first == git(upstream, "rev-parse", "main") and (root.folder / "two").read_text() == "2"
    (root.folder / ".tandem").mkdir()
    (root.folder / ".tandem" / "kept").write_text("")
    (root.folder / "one").write_text("somebody's hand")
    second = commit(upstream, two=None, three="3")
    assert root.bring() == second
    assert sorted(file.name for file in root.folder.iterdir()) == [".git", ".tandem", "one", "three"]
    assert (root.folder / "one").read_text() == "1" and (root.folder / ".tandem" / "kept").exists()
    assert git(root.folder, "log", "--format=%H", "main").splitlines() == [second, first]


def test_a_branch_that_was_forced_back_is_followed(root: RootRepository, upstream: Path) -> None:
    first = root.bring()
    commit(upstream, one="wrong")
    root.bring()
    git(upstream, "reset", "-q", "--hard", first)
    assert root.bring() == first and (root.folder / "one").read_text() == "1"


def test_an_app_whose_code_is_in_the_root_repository_finds_other_branches(root: RootRepository, upstream: Path) -> None:
    git(upstream, "branch", "feature")
    root.bring()
    assert git(root.folder, "rev-parse", "feature") == git(upstream, "rev-parse", "feature")


@pytest.mark.parametrize("branch", ["--upload-pack=x", "a..b", "", "-b"])
def test_a_branch_that_is_an_option_is_refused(branch: str, tmp_path: Path) -> None:
    environ = {"TANDEM_ROOT_REPOSITORY": "https://git.example.org/x", "TANDEM_ROOT": str(tmp_path)}
    if branch:
        with pytest.raises(SourceError, match="no name of a branch"):
            RootRepository.named(environ | {"TANDEM_ROOT_BRANCH": branch})
    else:
        assert RootRepository.named(environ | {"TANDEM_ROOT_BRANCH": branch}).branch == "main"


def test_what_is_not_there_is_said(root: RootRepository, upstream: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="nowhere"):
        RootRepository(str(tmp_path / "nowhere"), "main", tmp_path / "other", os.environ).bring()
    with pytest.raises(SourceError, match="gone"):
        RootRepository(str(upstream), "gone", tmp_path / "other", os.environ).bring()
    with pytest.raises(SettingsError, match="TANDEM_ROOT_REPOSITORY"):
        RootRepository.named({})


def test_the_command_brings_it_in(upstream: Path, tmp_path: Path) -> None:
    env = os.environ | {"TANDEM_ROOT_REPOSITORY": str(upstream), "TANDEM_ROOT": str(tmp_path / "work" / "root")}
    tandem = Path(sys.executable).with_name("tandem")
    done = subprocess.run([tandem, "service", "root"], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "of main" in done.stdout and (tmp_path / "work" / "root" / "one").exists()
