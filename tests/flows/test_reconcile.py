"""What nobody asked for by hand: reconcile starts it through Prefect, a worker runs it, and it comes out right."""

import time
from collections.abc import Callable, Iterator

import pytest

from tandem.cli import deployments, up
from tandem.flows import stages
from tandem.flows.integrate import integrate
from tandem.flows.ops import candidates
from tandem.flows.reconcile import reconcile
from tandem.flows.release import release
from tandem.settings import Settings
from tandem.triggers import runs
from tandem.triggers.api import connect


@pytest.fixture
def worker(line) -> Iterator[None]:
    """The tiny app's deployments, and a worker that runs them; none of them by a schedule."""
    settings = [Settings.load("tiny")]
    document = deployments.document(deployments.wanted(settings))
    (line.root / "prefect.yaml").write_text(document.replace("cron: '* * * * *'", "cron: 0 0 1 1 *"))
    try:
        up.up(line.root, settings, print)
        yield
    finally:  # a worker that stayed would take the next test's runs
        up.down(line.root, print)


def reconciled_until(done: Callable[[], object], seconds: float = 360) -> None:
    """What every minute does, a little faster."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, states()
        reconcile("tiny")
        time.sleep(1)


def states() -> list[tuple[str, str, str]]:
    """The runs of integrate that were asked for: state, commit, model, the oldest first."""
    query = {"flows": {"name": {"any_": ["integrate"]}}, "sort": "START_TIME_ASC"}
    found = connect().post("flow_runs/filter", query)
    mine = [run for run in found if run["deployment_id"] and run["parameters"]["app"] == "tiny"]
    return [(run["state_type"], run["parameters"]["commit"], run["parameters"]["model"]) for run in mine]


def over(commit: str, model: str) -> bool:
    """Whether every run for this pair has ended: its candidate is there a little earlier."""
    return all(state in ("COMPLETED", "FAILED") for state, *of in states() if of == [commit, model])


def built() -> set[str]:
    return {f"{each.candidate.pair.commit[:12]}×{each.candidate.pair.model[:12]}" for each in candidates("tiny")}


def test_a_new_commit_and_a_new_model_are_put_together_once(line, worker) -> None:
    commit, model = line.commit(GREETING="HELLO"), line.publish()
    reconciled_until(lambda: f"{commit[:12]}×{model[:12]}" in built() and over(commit, model))
    reconcile("tiny")
    assert [run for run in states() if run[1] == commit] == [("COMPLETED", commit, model)]


def test_a_broken_commit_does_not_hold_the_model_up_that_came_with_it(line, worker) -> None:
    integrate("tiny")
    good = release("tiny", "local").candidate.pair
    broken, model = line.commit(GREETING="BROKEN"), line.publish()
    reconciled_until(lambda: f"{good.commit[:12]}×{model[:12]}" in built())
    assert release("tiny", "local").candidate.pair.model == model, "the model goes out, with the last good commit"
    reconciled_until(lambda: all(state in ("COMPLETED", "FAILED") for state, *_ in states()))
    reconcile("tiny")
    mine = [run for run in states() if run[1] in (broken, good.commit) and run[2] in (model, good.model)]
    assert sorted(mine) == sorted(
        [("FAILED", broken, model), ("FAILED", broken, good.model), ("COMPLETED", good.commit, model)]
    ), "each once: what its own tests stopped is not tried again until somebody asks"


def test_while_somebody_integrates_nothing_is_started_beside_it(line) -> None:
    line.commit()
    with line.held():
        by_hand = line.start("from tandem.flows.integrate import integrate; integrate('tiny')")
        line.until(lambda: runs.under_way("integrate", {"app": "tiny"}), by_hand)
        reconcile("tiny")  # there is no deployment here: to start one would fail
        assert by_hand.poll() is None, "it was looked at while the other one lived"
    assert by_hand.wait(240) == 0


def test_an_integrate_that_an_outage_stopped_is_tried_again_and_comes_through(line, worker, monkeypatch) -> None:
    model = line.publish()
    commit = line.commit(GREETING="HELLO")
    registry = line.root / "registry"
    registry.mkdir()
    (registry / "blobs").write_text("the share is not mounted")
    with monkeypatch.context() as clock:
        began = stages.now()
        clock.setattr(stages, "now", lambda: began)  # however long Prefect's server takes
        reconciled_until(lambda: ("FAILED", commit, model) in states())
        reconcile("tiny")
    assert [state for state, *of in states() if of == [commit, model]] == ["FAILED"], "not again in the same second"
    (registry / "blobs").unlink()
    reconciled_until(lambda: f"{commit[:12]}×{model[:12]}" in built() and over(commit, model))
    assert [state for state, *of in states() if of == [commit, model]] == ["FAILED", "COMPLETED"]
