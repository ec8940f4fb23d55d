import logging
import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tandem.errors import BuildFailed
from tandem.images.files import app_files
from tandem.records import Source

MakeSource = Callable[..., Source]
SOME = {"app/main.py": "", "app/notes.md": "", "app/deep/er.py": "", "run.py": "", "docs/run.py": "", "x/app/y": ""}


def paths(source: Source, *patterns: str) -> list[str]:
    return sorted(entry.path for entry in app_files(source, patterns, "/app"))


@pytest.fixture
def committed(source: MakeSource) -> Callable[..., Source]:
    """The same folder as a git checkout, its files committed."""

    def commit(files: dict[str, str]) -> Source:
        made = source(files)
        git = ["git", "-C", made.folder, "-c", "user.name=A", "-c", "user.email=a@example.org"]
        for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "all"]):
            subprocess.run([*git, *command], check=True)
        id_ = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        return replace(made, commit=replace(made.commit, id=id_))

    return commit


def test_patterns_select_as_those_of_gitignore_do(source: MakeSource) -> None:
    commit = source(SOME)
    assert paths(commit, "app/**") == ["app/app/deep/er.py", "app/app/main.py", "app/app/notes.md"]
    assert paths(commit, "/app") == paths(commit, "app/**")
    assert paths(commit, "run.py") == ["app/docs/run.py", "app/run.py"]
    assert paths(commit, "/run.py") == ["app/run.py"]
    assert paths(commit, "**", "!*.md", "!/x") == [
        *("app/app/deep/er.py", "app/app/main.py", "app/docs/run.py", "app/run.py")
    ]


def test_dockerignore_has_the_last_word(source: MakeSource) -> None:
    commit = source({**SOME, ".dockerignore": "# not these\n**/*.md\napp/deep\n!app/deep/er.py\nx\n.dockerignore\n"})
    assert paths(commit, "**") == [*("app/app/deep/er.py", "app/app/main.py", "app/docs/run.py", "app/run.py")]


def test_what_the_commit_does_not_hold_stays_out(committed: MakeSource) -> None:
    commit = committed({"app.py": "", "tests/test.py": ""})
    Path(commit.folder, "written-by-a-test.txt").touch()
    Path(commit.folder, "__pycache__").mkdir()
    Path(commit.folder, "__pycache__", "app.pyc").touch()
    assert paths(commit, "**") == ["app/app.py", "app/tests/test.py"]


def test_git_and_caches_of_byte_code_stay_out_of_any_folder(source: MakeSource) -> None:
    commit = source({"app.py": "", "lib/.git": "gitdir: elsewhere", "lib/__pycache__/a.pyc": "", ".git/config": ""})
    with pytest.raises(BuildFailed, match="git cannot list"):  # .git is there, and is no repository
        paths(commit, "**")
    Path(commit.folder, ".git").rename(Path(commit.folder, "..", "gone"))
    assert paths(commit, "**") == ["app/app.py"]


def test_only_the_owners_right_to_execute_is_kept(source: MakeSource) -> None:
    commit = source({"run.sh": "", "app.py": "", "group.sh": ""})
    for name, mode in (("run.sh", 0o700), ("app.py", 0o600), ("group.sh", 0o654)):
        Path(commit.folder, name).chmod(mode)
    found = {entry.path: entry.executable for entry in app_files(commit, ("**",), "/srv/app/")}
    assert found == {"srv/app/run.sh": True, "srv/app/app.py": False, "srv/app/group.sh": False}


def test_a_link_is_kept_where_it_stays_inside(source: MakeSource) -> None:
    commit = source({"app/main.py": "", "lib/a.py": ""})
    Path(commit.folder, "app", "lib").symlink_to("../lib")
    Path(commit.folder, "app", "top").symlink_to("..")
    Path(commit.folder, "nowhere").symlink_to("not/there")
    found = {entry.path: entry.link for entry in app_files(commit, ("**",), "/app")}
    assert found == {
        "app/app/main.py": None,
        "app/lib/a.py": None,
        "app/app/lib": "../lib",
        "app/app/top": "..",
        "app/nowhere": "not/there",
    }


@pytest.mark.parametrize("target", ["/etc/passwd", "../secret", "app/../../secret", "..", "up/../../secret"])
def test_a_link_that_leaves_the_repository_is_refused(source: MakeSource, target: str) -> None:
    commit = source({"app/main.py": ""})
    Path(commit.folder, "app", "up").symlink_to("..")
    Path(commit.folder, "link").symlink_to("app/up/../../x" if target.startswith("up") else target)
    with pytest.raises(BuildFailed, match=r"link: a link to .* outside the repository"):
        paths(commit, "**")


def test_a_folder_swapped_for_a_link_after_the_checkout_is_not_followed(committed: MakeSource, tmp_path: Path) -> None:
    commit = committed({"app/main.py": "", "run.py": ""})
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "main.py").write_text("secret")
    Path(commit.folder, "app").rename(tmp_path / "moved")
    Path(commit.folder, "app").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BuildFailed, match=r"app/main\.py"):
        paths(commit, "**")


@pytest.mark.parametrize("name", ["a\nb.py", "tab\t.py", "bell\x07"])
def test_a_name_with_control_characters_is_refused(source: MakeSource, name: str) -> None:
    with pytest.raises(BuildFailed, match="control characters"):
        paths(source({name: "", "fine.py": ""}), "**")


def test_a_pipe_is_refused(source: MakeSource) -> None:
    commit = source({"app.py": ""})
    os.mkfifo(Path(commit.folder, "pipe"))
    with pytest.raises(BuildFailed, match="pipe: neither a file nor a link"):
        paths(commit, "**")


def test_nothing_selected_is_an_error_and_a_pattern_in_vain_is_said(
    source: MakeSource, caplog: pytest.LogCaptureFixture
) -> None:
    commit = source({"app.py": "", ".dockerignore": "*.py"})
    with pytest.raises(BuildFailed, match=r"files = \['\*\.py'\].*2 files in the commit.*app\.toml"):
        paths(commit, "*.py")
    with caplog.at_level(logging.WARNING, "tandem.images"):
        paths(commit, "**", "confg/**")
    assert "'confg/**' matches no file" in caplog.text
