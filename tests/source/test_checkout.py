"""A checkout holds one commit's files, belongs to one run, and goes with it."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tandem.errors import SourceError

HOLDS_A_CHECKOUT = """
import sys, time
from pathlib import Path
from tandem.settings import SourceSettings
from tandem.source import Repository
run = Repository(SourceSettings(repository=sys.argv[1]), "digits", Path(sys.argv[2]))
with run.checked_out(run.commit()) as source:
    print(source.folder, flush=True)
    time.sleep(60)
"""


def test_a_checkout_is_the_commit_and_is_gone_afterwards(origin, open_):
    origin.write({"run.sh": "#!/bin/sh\n"})
    (origin.folder / "run.sh").chmod(0o755)
    (origin.folder / "link").symlink_to("run.sh")
    made = origin.commit(app__main_py="committed")
    origin.write({"app/main.py": "not committed", "untracked": "x"})
    run = open_()
    with run.checked_out(run.commit()) as source:
        folder = Path(source.folder)
        assert source.commit.id == made and folder.is_absolute()
        assert sorted(path.name for path in folder.iterdir()) == ["app", "link", "run.sh"]
        assert (folder / "app/main.py").read_text() == "committed"
        assert os.access(folder / "run.sh", os.X_OK) and (folder / "link").is_symlink()
        (folder / "app").chmod(0)
    assert not folder.exists() and not folder.parent.exists()


def test_two_runs_have_a_folder_each(origin, open_):
    old, new = origin.commit(app__main_py="1"), origin.commit(app__main_py="2")
    run = open_()
    with run.checked_out(run.commit(old)) as one, run.checked_out(run.commit(new)) as two:
        assert [(Path(source.folder) / "app/main.py").read_text() for source in (one, two)] == ["1", "2"]


def test_the_folder_of_a_run_that_was_killed_is_removed_by_the_next_and_that_of_a_living_one_is_not(
    origin, open_, root
):
    origin.commit(app__main_py="1")
    words = [sys.executable, "-c", HOLDS_A_CHECKOUT, str(origin.folder), str(root)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as other:
        left = Path(other.stdout.readline().strip())
        run = open_()
        with run.checked_out(run.commit()):
            assert (left / "app/main.py").exists()
        other.send_signal(signal.SIGKILL)
        other.wait()
        with run.checked_out(run.commit()):
            assert not left.parent.exists()
    assert [path.name for path in (root / ".tandem/worktrees").iterdir()] == [".new.lock"]


def test_two_first_runs_at_once_make_one_mirror(origin, open_, root):
    made = origin.commit(app__main_py="1")
    found, threads = [], []
    for _ in range(4):
        threads.append(threading.Thread(target=lambda: found.append(open_().commit().id)))
        threads[-1].start()
    for thread in threads:
        thread.join()
    assert found == [made] * 4
    assert len([path for path in (root / ".tandem/mirrors").iterdir() if path.is_dir()]) == 1


def test_the_mirror_survives_its_origin_and_its_garbage_collection(origin, open_):
    made = origin.commit(app__main_py="1")
    origin.commit(app__main_py="2")
    run = open_()
    run.commit()
    origin.git("reset", "-q", "--hard", made)
    origin.git("reflog", "expire", "--expire=now", "--all")
    origin.git("gc", "-q", "--prune=now")
    shutil.rmtree(origin.folder)
    assert len(list(run.history())) == 2
    with run.checked_out(run.commit(made)) as source:
        assert (Path(source.folder) / "app/main.py").read_text() == "1"


def test_a_fetch_that_was_killed_half_way_is_no_obstacle(origin, open_, root):
    origin.commit(app__main_py="1")
    open_().commit()
    (mirror,) = (path for path in (root / ".tandem/mirrors").iterdir() if path.is_dir())
    (mirror / "packed-refs.lock").touch()
    (mirror / "refs/heads/main.lock").touch()
    mirror.with_suffix(".new").mkdir()
    made = origin.commit(app__main_py="2")
    assert open_().commit().id == made


def test_a_damaged_mirror_is_made_anew(origin, open_, root):
    origin.commit(app__main_py="1")
    open_().commit()
    (mirror,) = (path for path in (root / ".tandem/mirrors").iterdir() if path.is_dir())
    shutil.rmtree(mirror / "refs")
    made = origin.commit(app__main_py="2")
    assert open_().commit().id == made


def test_a_shallow_origin_works_and_may_grow(origin, open_, tmp_path):
    first, second = origin.commit(app__main_py="1"), origin.commit(app__main_py="2")
    origin.git("clone", "-q", "--depth=1", f"file://{origin.folder}", str(tmp_path / "shallow"))
    shallow = str(tmp_path / "shallow")
    assert [commit.id for commit in open_(repository=shallow).history()] == [second]
    third = origin.commit(app__main_py="3")
    origin.git("-C", shallow, "fetch", "-q", "--depth=1", "origin", "main")
    origin.git("-C", shallow, "reset", "-q", "--hard", "FETCH_HEAD")
    assert next(open_(repository=shallow).history()).id == third
    origin.git("-C", shallow, "fetch", "-q", "--unshallow")
    assert [commit.id for commit in open_(repository=shallow).history()] == [third, second, first]


def test_a_submodules_path_forges_no_line_of_the_log(origin, open_):
    origin.write({"a b/.gitattributes": "* filter=lfs\n", "\x1b[31m\n/.gitattributes": "* filter=lfs\n"})
    origin.commit()
    origin.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},x\n2026 ERROR forged\x1b[31m")
    origin.git("commit", "-q", "-m", "A submodule")
    run = open_()
    said = run.notes(run.commit())
    assert said[0].startswith("submodule x?2026 ERROR forged?[31m is not fetched")
    assert [each.partition(" puts")[0] for each in said[1:]] == ["?[31m?/.gitattributes", "a b/.gitattributes"]


def test_submodules_and_lfs_pointers_are_said(origin, open_):
    origin.write(
        {".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n", "weights.bin": "version https://…\n"}
    )
    origin.commit()
    origin.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},vendor/lib")
    origin.git("commit", "-q", "-m", "A submodule")
    run = open_()
    commit = run.commit()
    assert run.notes(commit) == [
        "submodule vendor/lib is not fetched: its folder is empty",
        ".gitattributes puts files under Git LFS: they are pointers here, not their content",
    ]
    with run.checked_out(commit) as source:
        assert (Path(source.folder) / "weights.bin").read_text() == "version https://…\n"


def test_a_file_that_would_leave_the_checkout_is_refused(origin, open_, tmp_path):
    origin.write({"evil": "x"})
    blob = origin.git("hash-object", "-w", "evil")
    inner = origin.git("mktree", stdin=f"100644 blob {blob}\tescaped\n")
    tree = origin.git("mktree", stdin=f"040000 tree {inner}\t..\n")
    made = origin.git("commit-tree", tree, "-m", "Hostile")
    origin.git("update-ref", "refs/heads/main", made)
    run = open_()
    with pytest.raises(SourceError, match="could not be checked out"), run.checked_out(run.commit()):
        pass
    assert not list(tmp_path.rglob("escaped"))
