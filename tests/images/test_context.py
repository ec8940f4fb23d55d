import io
import os
import subprocess
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from tandem.errors import BuildFailed
from tandem.images.context import context
from tandem.records import Source

MakeSource = Callable[[Mapping[str, str]], Source]


def sent(source: Source, dockerfile: str = "Dockerfile") -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(b"".join(context(source, dockerfile)))) as archive:
        return {member.name: member for member in archive.getmembers()}


def test_what_dockerignore_names_stays_out_but_the_two_files_that_docker_reads(source: MakeSource) -> None:
    files = {"Dockerfile": "FROM x", ".dockerignore": "*\n!app\n**/*.pyc", "app/a.py": "", "app/a.pyc": "", "notes": ""}
    assert list(sent(source(files))) == [".dockerignore", "Dockerfile", "app", "app/a.py"]


def test_a_dockerfile_with_an_ignore_file_of_its_own(source: MakeSource) -> None:
    files = {"web/Dockerfile": "FROM x", "web/Dockerfile.dockerignore": "a", ".dockerignore": "b", "a": "", "b": ""}
    assert "b" in sent(source(files), "web/Dockerfile") and "a" not in sent(source(files), "web/Dockerfile")


def test_folders_of_any_name_links_and_modes_are_as_in_the_commit(source: MakeSource) -> None:
    made = source({"Dockerfile": "FROM x", "bin/run": "#!/bin/sh", "lib/.wh.odd": "x"})
    folder = Path(made.folder)
    (folder / "bin/run").chmod(0o700)
    (folder / "python").symlink_to("/usr/bin/python3")
    found = sent(made)
    assert (found["bin/run"].mode, found["Dockerfile"].mode, found["bin"].mode) == (0o755, 0o644, 0o755)
    assert found["python"].linkname == "/usr/bin/python3" and "lib/.wh.odd" in found
    assert {(member.mtime, member.uid) for member in found.values()} == {(315532800, 0)}


def test_what_the_commit_does_not_hold_is_not_sent(source: MakeSource) -> None:
    made = source({"Dockerfile": "FROM x", "app.py": "1"})
    git = ["git", "-C", made.folder, "-c", "user.name=ada", "-c", "user.email=ada@example.org"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "Say hello"]):
        subprocess.run([*git, *words], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    made = replace(made, commit=replace(made.commit, id=head))
    Path(made.folder, "left-by-a-test").write_text("x")
    assert list(sent(made)) == ["Dockerfile", "app.py"]


def test_a_folder_that_became_a_link_out_of_the_repository_is_refused(source: MakeSource, tmp_path: Path) -> None:
    made = source({"Dockerfile": "FROM x", "app/secret": "mine"})
    folder, pieces = Path(made.folder), context(made, "Dockerfile")
    next(pieces)  # listed by now
    (folder / "app").rename(tmp_path / "elsewhere")
    (folder / "app").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BuildFailed, match=r"app/secret: below a link that leads out of the repository"):
        list(pieces)


def test_what_cannot_be_sent_is_named(source: MakeSource) -> None:
    made = source({"Dockerfile": "FROM x"})
    os.mkfifo(Path(made.folder, "pipe"))
    with pytest.raises(BuildFailed, match=r"pipe: neither a file nor a link: exclude it in \.dockerignore"):
        sent(made)


def test_names_are_the_bytes_that_git_has(source: MakeSource) -> None:
    made = source({"Dockerfile": "FROM x", "grün": "", "a" * 90 + "/" + "b" * 200: "long"})
    odd = os.fsdecode(b"caf\xe9")
    Path(made.folder, odd).touch()
    assert {"grün", odd, "a" * 90 + "/" + "b" * 200} <= set(sent(made))
