"""Runs that are forked from the warm template: each as good as a process of its own, by Prefect's own signs."""

import os
import signal
import time
from pathlib import Path

import pytest

from tandem.triggers import runs
from tests.triggers.working import until, working


@pytest.fixture(scope="module")
def work(server, tmp_path_factory):
    with working(server, tmp_path_factory.mktemp("warm"), "warm") as work:
        work.template()
        yield work


def test_a_run_is_a_child_of_the_template_in_a_session_and_folder_of_its_own(work):
    run, note = work.forked()
    assert note["parent"] == work.template() and note["session"] == note["pid"]
    assert note["run"] == run and note["folder"] != str(Path.cwd())
    assert work.over(run) == "COMPLETED"
    assert runs.read(run, work.api).state == "COMPLETED"


def test_a_run_finds_prefects_records_built(work):
    run, note = work.forked()
    assert note["ready"]
    work.over(run)


def test_the_template_holds_no_thread_and_nothing_of_a_run_and_a_run_nothing_of_the_template(work):
    template = Path(f"/proc/{work.template()}")
    if not template.exists():
        pytest.skip("no /proc here")
    assert "Threads:\t1\n" in (template / "status").read_text()
    held = {str(file.readlink()) for file in (template / "fd").iterdir()}
    note = work.note(run := work.run())
    sockets = {name for name in held if name.startswith("socket:")}
    assert sockets and not sockets & set(note["open"])
    assert not [name for name in note["open"] if "template-" in name]
    assert not [name for name in held if ".db" in name]
    work.over(run)


def test_what_is_random_differs_between_runs_of_one_template(work):
    notes = [work.note(run) for run in [work.run(), work.run(), work.run()]]
    assert len({note["random"] for note in notes}) == len({note["uuid"] for note in notes}) == 3


@pytest.mark.parametrize(
    ("end", "state"), [("", "COMPLETED"), ("fail", "FAILED"), ("exit", "CRASHED"), ("kill", "CRASHED")]
)
def test_however_a_run_ends_the_server_knows_at_once(work, end, state):
    work.note(run := work.run({"end": end}))
    assert work.over(run) == state


def test_a_cancelled_run_ends_with_its_process(work):
    note = work.note(run := work.run({"seconds": 600}))
    until(lambda: runs.read(run, work.api).state == "RUNNING")
    runs.cancel(run, "not needed", work.api)
    assert work.over(run) == "CANCELLED"
    until(lambda: not _lives(note["pid"]))


def test_a_killed_launcher_takes_its_run_with_it_and_it_has_crashed(work):
    run, note = work.forked({"seconds": 600})
    launcher = int(until(lambda: work.api.get(f"flow_runs/{run}")["infrastructure_pid"]))
    assert launcher != note["pid"]
    os.kill(launcher, signal.SIGKILL)
    assert work.over(run) == "CRASHED"
    until(lambda: not _lives(note["pid"]))


def test_the_variables_of_a_deployment_reach_its_run_and_those_of_python_get_a_process_of_their_own(work):
    _, note = work.forked(job_variables={"env": {"EXTRA": "more"}})
    assert note["extra"] == "more" and note["parent"] == work.template()
    note = work.note(work.run(job_variables={"env": {"PYTHONHASHSEED": "7"}}))
    assert note["hash"] == "7" and note["parent"] != work.template()


def test_where_the_template_hangs_a_run_starts_cold_and_once(work):
    template = work.template()
    os.kill(template, signal.SIGSTOP)
    try:
        note = work.note(run := work.run())
        assert note["parent"] != template
        assert work.over(run) == "COMPLETED"
    finally:
        os.kill(template, signal.SIGCONT)
    assert warm(work) == template
    assert work.note(run) == note  # the template has not run it a second time


def test_a_killed_template_has_crashed_its_runs_and_another_takes_the_next(work):
    before = work.template()
    run, note = work.forked({"seconds": 600})
    assert note["parent"] == before
    os.kill(before, signal.SIGKILL)
    assert work.over(run) == "CRASHED"
    until(lambda: not _lives(note["pid"]))
    assert warm(work) != before


def test_new_code_is_run_from_the_first_run_on(work):
    before = work.template()
    run, long = work.forked({"seconds": 8})
    file = work.folder / "code" / "warmly.py"
    file.write_text(file.read_text().replace("as it was", "as it is"))
    note = work.note(work.run())
    assert note["value"] == "as it is" and note["parent"] != before
    assert long["parent"] == before and work.over(run) == "COMPLETED"  # what runs is left to run
    assert warm(work) != before
    assert work.note(work.run())["value"] == "as it is"
    until(lambda: not _lives(before))


def test_many_runs_at_once_all_come_through(work):
    began = time.monotonic()
    asked = [work.run() for _ in range(8)]
    assert [work.over(run) for run in asked] == ["COMPLETED"] * 8
    assert len({work.note(run)["pid"] for run in asked}) == 8, time.monotonic() - began


def warm(work) -> int:
    """The template that a run was forked from, once one was: on a busy machine one may have to start cold."""
    return work.forked()[1]["parent"]


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
