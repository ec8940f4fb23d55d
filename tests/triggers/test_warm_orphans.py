"""A worker that is killed costs no run; what has no process any more is ended by the next worker, and ended once."""

import os
import signal

import pytest

from tandem.triggers import orphans, runs
from tests.triggers.working import until, working


@pytest.fixture
def work(server, tmp_path, request):
    with working(server, tmp_path, f"orphans-{abs(hash(request.node.name)) % 10**8}") as work:
        work.template()
        yield work


def test_a_run_outlives_its_worker_and_the_template_ends_after_it(work):
    run, note = work.forked({"seconds": 6})
    template = note["parent"]
    work.worker.kill()
    work.worker.wait()
    work.start_worker("--alone")
    other = until(lambda: (found := work.template()) != template and found)
    assert work.over(run) == "COMPLETED"
    until(lambda: not (work.folder / f"run/template-{template}.json").exists())
    assert work.forked()[1]["parent"] == other


def test_runs_whose_process_died_with_their_worker_are_settled_by_the_next(work):
    (running, note), (cancelled, _) = work.forked({"seconds": 600}), work.forked({"seconds": 600})
    template = note["parent"]
    for run in (running, cancelled):
        until(lambda run=run: runs.read(run, work.api).state == "RUNNING")
    work.worker.kill()
    work.worker.wait()
    os.kill(template, signal.SIGKILL)
    runs.cancel(cancelled, "by a test", work.api)
    taken = work.run()
    pending = {"state": {"type": "PENDING", "name": "Pending"}, "force": True}
    work.api.post(f"flow_runs/{taken}/set_state", pending)  # as the dead worker left it
    work.start_worker("--alone")
    assert work.over(running) == "CRASHED"
    assert work.over(cancelled) == "CANCELLED"
    assert work.over(taken) == "COMPLETED"


def test_a_living_run_is_left_alone_and_what_it_started_is_not_mistaken_for_it(work):
    run, note = work.forked({"seconds": 600})
    until(lambda: runs.read(run, work.api).state == "RUNNING")
    until(lambda: run in orphans.living())
    assert orphans.living()[run] != note["pid"]  # the process that Prefect knows
    assert orphans.end(work.pool, work.api, first=True) == []
    assert runs.read(run, work.api).state == "RUNNING"


def test_one_that_is_deaf_to_its_cancellation_is_killed_after_a_minute(work):
    run, note = work.forked({"seconds": 600})
    until(lambda: runs.read(run, work.api).state == "RUNNING")
    work.worker.kill()  # or it would end the run itself
    work.worker.wait()
    runs.cancel(run, "by a test", work.api)
    later = orphans.datetime.now(orphans.UTC) + orphans.DEAF * 2
    assert "killed" in orphans.end(work.pool, work.api, first=False, now=later)[0]
    until(lambda: run not in orphans.living())
    assert "cancelled" in orphans.end(work.pool, work.api, first=False)[0]
    assert runs.read(run, work.api).state == "CANCELLED" and note["pid"]
