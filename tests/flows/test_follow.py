"""follow = true: a newer candidate goes there by itself, once, and never where something speaks against it."""

import pytest

from tandem.flows import backends, stages
from tandem.flows.approve import approve
from tandem.flows.integrate import integrate
from tandem.flows.ops import block
from tandem.flows.reconcile import reconcile
from tandem.flows.release import release
from tandem.flows.rollback import rollback
from tandem.records import State
from tandem.settings import Settings
from tandem.triggers import runs
from tests.flows.asked import Asked, deploy


@pytest.fixture
def releases(line) -> Asked:
    """What is asked of release/tiny-local; integrate/tiny is there too, and its runs wait."""
    deploy(integrate, "tiny")
    return deploy(release, "tiny-local")


def state(environment: str = "local") -> State:
    return backends.target(Settings.load("tiny"), environment).state().value


def running() -> set[str]:
    return {run.id for run in runs.in_states("release", ["RUNNING"])}


@pytest.mark.more("follow = true")
def test_a_newer_candidate_goes_there_by_itself_and_once(line, releases) -> None:
    candidate = integrate("tiny")
    for _ in range(3):
        reconcile("tiny")
    assert releases.states() == ["SCHEDULED"]
    assert releases.run().startswith("COMPLETED")
    assert state().current.candidate == candidate and line.ask() == 7
    reconcile("tiny")
    assert releases.states() == ["COMPLETED"]
    line.commit()
    newer = integrate("tiny")
    reconcile("tiny")
    releases.run()
    reconcile("tiny")
    assert releases.states() == ["COMPLETED"] * 2 and state().current.candidate == newer


@pytest.mark.more('follow = true\n[environments.production]\nfollow = true\nafter = "local"\ntarget = "process:"')
def test_who_follows_is_looked_at_at_once_and_not_within_the_minute(line, releases) -> None:
    asked = deploy(reconcile, "hinted")
    integrate("tiny")
    assert [run["parameters"] for run in asked.runs()] == [{"app": "tiny"}], "a candidate came about"
    integrate("tiny")
    assert len(asked.runs()) == 1, "nothing did"
    release("tiny", "local")
    assert len(asked.runs()) == 2, "it was verified in local"


def test_without_follow_it_waits_for_its_night(line, releases) -> None:
    integrate("tiny")
    reconcile("tiny")
    assert releases.states() == []


@pytest.mark.more("follow = true")
def test_what_was_blocked_or_taken_back_does_not_come_again(line, releases) -> None:
    integrate("tiny")
    reconcile("tiny")
    releases.run()
    bad = line.publish(deep="wrong")
    integrate("tiny")
    reconcile("tiny")
    assert releases.run().startswith("FAILED")
    assert [b.model for b in state().blocks] == [bad]
    line.commit()
    good = integrate("tiny", model=state().current.candidate.pair.model)
    reconcile("tiny")
    assert releases.run().startswith("COMPLETED") and state().current.candidate == good
    rollback("tiny", "local", why="users complain", by="ann")
    reconcile("tiny")
    assert len(releases.states()) == 3, "what a person took back stays away"


@pytest.mark.more("follow = true")
def test_what_failed_by_the_environments_fault_is_tried_again_but_not_at_once(line, releases, monkeypatch) -> None:
    integrate("tiny")
    folder = line.root / ".tandem" / "environments" / "tiny-local"
    folder.mkdir(parents=True)
    (folder / "images").write_text("the disk is not mounted")
    reconcile("tiny")
    assert releases.run().startswith("FAILED") and state().blocks == ()
    ended = runs.read(releases.runs()[-1]["id"]).ended
    monkeypatch.setattr(stages, "now", lambda: ended)  # however long Prefect's server takes
    reconcile("tiny")
    assert releases.states() == ["FAILED"], "not again in the same second"


@pytest.mark.more("follow = true")
def test_beside_a_living_release_nothing_is_started(line, releases) -> None:
    line.commit()
    integrate("tiny")
    killed = running()  # by other tests: nobody has said so yet
    with line.held("roll out"):
        by_hand = line.start("from tandem.flows.release import release; release('tiny', 'local')")
        line.until(lambda: running() - killed, by_hand)
        reconcile("tiny")
        assert by_hand.poll() is None and releases.states() == []
    assert by_hand.wait(240) == 0


@pytest.mark.more("follow = true")
def test_what_a_person_cancelled_is_for_a_person_to_ask_for_again(line, releases) -> None:
    integrate("tiny")
    reconcile("tiny")
    runs.cancel(releases.runs()[-1]["id"], "not today")
    reconcile("tiny")
    assert releases.states() == ["CANCELLED"]


@pytest.mark.more("follow = true\napproval = true")
def test_an_approval_is_asked_for_once_and_brings_it_in(line, releases) -> None:
    candidate = integrate("tiny")
    reconcile("tiny")
    assert releases.run().startswith("COMPLETED: waiting for approval")
    reconcile("tiny")
    assert releases.states() == ["COMPLETED"], "the question stands"
    assert state().asked.candidate == candidate
    assert approve("tiny", "local", candidate.tag, by="ann").candidate == candidate
    reconcile("tiny")
    assert releases.states() == ["COMPLETED"] and state().asked is None


@pytest.mark.more('follow = true\nfreeze = "2020-01-01..2998-12-31"')
def test_in_a_freeze_nothing_follows(line, releases) -> None:
    integrate("tiny")
    reconcile("tiny")
    assert releases.states() == []


STAGES = """after = "staging"
follow = true
[environments.staging]
target = "process:"
address = "127.0.0.1:0"
follow = true
"""


@pytest.mark.more(STAGES)
def test_production_follows_staging_once_it_was_verified_there(line, releases) -> None:
    staging = deploy(release, "tiny-staging")
    candidate = integrate("tiny")
    reconcile("tiny")
    assert releases.states() == [] and staging.states() == ["SCHEDULED"]
    staging.run()
    reconcile("tiny")
    releases.run()
    assert state().current.candidate == state("staging").current.candidate == candidate


@pytest.mark.more("follow = true")
def test_what_is_blocked_by_hand_while_its_release_waits_does_not_go(line, releases) -> None:
    candidate = integrate("tiny")
    reconcile("tiny")
    block("tiny", "local", candidate.tag, "wrong prices", "ann")
    assert releases.run().startswith("COMPLETED: nothing to release")
