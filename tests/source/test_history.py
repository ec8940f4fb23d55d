"""Refs become commits once; only commits that matter are history."""

from pathlib import Path

import pytest

from tandem.errors import SourceError
from tandem.settings import SourceSettings
from tandem.source import Repository


def test_a_ref_becomes_a_full_commit_with_what_a_person_reads_of_it(origin, open_):
    made = origin.commit("Grüße, a first line\n\nand more", app__main_py="1")
    origin.git("tag", "-a", "v1", "-m", "annotated", GIT_COMMITTER_DATE="1700000060 +0000")
    commit = open_().commit("HEAD")
    assert (commit.id, commit.author, commit.email) == (made, "Ada Lovelace", "ada@example.org")
    assert (commit.subject, commit.time.isoformat()) == ("Grüße, a first line", "2023-11-14T22:14:20+00:00")
    assert {open_().commit(ref).id for ref in ("main", "v1", made, made[:8], "refs/heads/main")} == {made}


def test_head_is_the_branch_of_app_toml_and_not_what_is_checked_out(origin, open_):
    main = origin.commit()
    origin.git("checkout", "-q", "-b", "feature")
    feature = origin.commit()
    assert open_().commit("HEAD").id == main
    assert open_().commit("feature").id == feature
    assert [commit.id for commit in open_().history()] == [main]


def test_a_branch_that_is_not_there_is_answered_with_those_that_are(origin, open_):
    origin.commit()
    with pytest.raises(SourceError, match=r"no branch 'trunk' .branches: main.: set source.branch"):
        list(open_(branch="trunk").history())


def test_only_commits_that_touch_the_paths_are_history(origin, open_):
    first = origin.commit(app__main_py="1")
    origin.commit(docs__words="x")
    third = origin.commit(app__main_py="2")
    docs = origin.commit(docs__words="y")
    run = open_(paths=["app", "tests/app"])
    assert [commit.id for commit in run.history()] == [third, first]
    assert [commit.id for commit in run.history(1)] == [third]
    assert run.newest().id == third
    assert run.effective(run.commit(docs)).id == third
    assert len(list(open_().history())) == 4


def test_a_path_is_taken_by_the_letter(origin, open_):
    origin.commit(app__main_py="1")
    with pytest.raises(SourceError, match=r"touches source.paths .a\*."):
        open_(paths=["a*"]).newest()


def test_a_merge_that_changes_the_paths_against_its_first_parent_counts_and_its_branch_does_not(origin, open_):
    base = origin.commit(app__main_py="1")
    origin.git("checkout", "-q", "-b", "feature")
    origin.commit(app__other_py="on the branch")
    origin.git("checkout", "-q", "main")
    origin.commit(docs__words="meanwhile")
    date = "1700009999 +0000"
    origin.git("merge", "-q", "--no-ff", "-m", "Merge", "feature", GIT_AUTHOR_DATE=date, GIT_COMMITTER_DATE=date)
    merge = origin.git("rev-parse", "HEAD")
    assert [commit.id for commit in open_(paths=["app"]).history()] == [merge, base]


def test_a_retried_old_commit_does_not_become_newest_by_its_clock(origin, open_):
    origin.commit(app__main_py="1")
    origin.clock -= 1_000_000
    late = origin.commit(app__main_py="2")
    assert open_().newest().id == late


def test_release_notes_are_the_commits_between_and_nothing_where_there_is_no_between(origin, open_):
    first, second, third = (origin.commit(str(number), app__main_py=str(number)) for number in range(3))
    origin.git("checkout", "-q", "--orphan", "other")
    unrelated = origin.commit("unrelated")
    run = open_()
    assert [commit.id for commit in run.between(first, third)] == [third, second]
    assert [commit.id for commit in run.between(first, third, limit=1)] == [third]
    assert run.between(third, first) == run.between(unrelated, third) == run.between("0" * 40, third) == []


def test_a_new_commit_is_seen_by_the_next_run_and_by_fetch(origin, open_):
    first = origin.commit(app__main_py="1")
    run = open_()
    assert run.newest().id == first
    second = origin.commit(app__main_py="2")
    assert run.newest().id == first
    run.fetch()
    assert run.newest().id == second == open_().newest().id


def test_force_pushed_and_deleted_branches_are_followed_and_old_commits_still_known(origin, open_):
    first = origin.commit(app__main_py="1")
    lost = origin.commit(app__main_py="2")
    origin.git("branch", "a")
    assert open_().newest().id == lost
    origin.git("reset", "-q", "--hard", first)
    origin.git("branch", "-q", "-D", "a")
    origin.git("branch", "a/b")
    run = open_()
    assert run.newest().id == first
    assert run.commit("a/b").id == first
    with pytest.raises(SourceError, match="no commit 'a'"):
        run.commit("a")
    assert run.commit(lost).id == lost


def test_what_the_committer_wrote_cannot_shift_the_fields(origin, open_):
    origin.commit()
    tree = origin.git("rev-parse", "HEAD^{tree}")
    name, when = "A\x1fB" + "x" * 5000, "99999999999999999 +0000"
    who = f"{name} <ada@example.org> {when}"
    text = f"tree {tree}\nauthor {who}\ncommitter {who}\n\n{'s' * 9999}"
    made = origin.git("hash-object", "-t", "commit", "-w", "--literally", "--stdin", stdin=text)
    origin.git("update-ref", "refs/heads/main", made)
    commit = open_().commit()
    assert commit.id == made
    assert (
        len(commit.author) <= 200
        and len(commit.subject) <= 500
        and (commit.email, commit.time.year) == ("ada@example.org", 1970)
    )


def test_an_empty_repository_says_so(origin, open_):
    with pytest.raises(SourceError, match=r"no branch 'main' .it is empty: commit first."):
        open_().newest()


def test_a_dot_is_the_repository_around_the_root_even_from_a_folder_below_its_top(origin):
    root = origin.folder / "services" / "digits"
    (root / "deployments").mkdir(parents=True)
    made = origin.commit(services__digits__app__main_py="1")
    origin.commit(elsewhere="x")
    run = Repository(SourceSettings(paths=("app",)), "digits", root)
    assert run.newest().id == made
    with run.checked_out(run.newest()) as source:
        assert (Path(source.folder) / "app" / "main.py").read_text() == "1"


def test_a_dot_outside_any_repository_says_what_to_do(tmp_path):
    with pytest.raises(SourceError, match=r"is in no git repository.*git init"):
        Repository(SourceSettings(), "digits", tmp_path)
