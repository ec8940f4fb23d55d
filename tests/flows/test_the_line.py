"""Commit and model to a released, answered request, and what happens on the bad days."""

import json

import pytest

from tandem.errors import ImageFailed, Refused, ReleaseFailed, SuiteFailed
from tandem.flows import backends, stages
from tandem.flows.backends import registry
from tandem.flows.integrate import integrate
from tandem.flows.ops import block, candidates, status, unblock
from tandem.flows.proof import TRIAL
from tandem.flows.prune import prune
from tandem.flows.release import release
from tandem.flows.rollback import rollback
from tandem.manifests import image_of
from tandem.records import State
from tandem.registries import evidence
from tandem.settings import Settings

EVIDENCE = (evidence.TESTS, evidence.PROVENANCE, evidence.SBOM, TRIAL)


def state() -> State:
    found = status("tiny")[0].environments[0].state
    assert found is not None
    return found


def layers(digest: str) -> set[str]:
    image = image_of(registry(Settings.load("tiny")), digest)
    assert image is not None
    return {layer.digest for layer in image.manifest.layers}


def test_a_commit_and_a_model_become_an_answered_request(line) -> None:
    candidate = integrate("tiny")
    done = release("tiny", "local")
    assert done.outcome == "released" and done.candidate == candidate
    assert line.ask() == 7
    assert integrate("tiny") == candidate, "the second time there is nothing to do"
    kept = {kind: evidence.find(registry(Settings.load("tiny")), candidate.digest, kind) for kind in EVIDENCE}
    assert all(len(facts) == 1 for facts in kept.values()), "each fact is there, and once"
    model = json.loads(kept[evidence.SBOM][0])["components"][0]
    assert model["version"] == candidate.pair.model and model["components"][0]["hashes"][0]["alg"] == "SHA-256"
    assert release("tiny", "local") is None, "and nothing to release"


def test_new_code_does_not_move_the_model_and_a_new_model_does_not_move_the_code(line) -> None:
    first = layers(integrate("tiny").digest)
    line.commit(GREETING="HELLO")
    code = layers(integrate("tiny").digest)
    line.publish()
    model = layers(integrate("tiny").digest)
    assert len(first - code) == 1 and len(code - first) == 1, "only the code's layer is new"
    assert len(code - model) == 1 and len(model - code) == 1, "only the model's layer is new"


def test_a_broken_commit_is_stopped_by_its_tests(line) -> None:
    line.commit(GREETING="BROKEN")
    with pytest.raises(SuiteFailed, match="test_it_is_whole"):
        integrate("tiny")
    assert candidates("tiny") == []


def test_a_model_that_answers_wrongly_never_becomes_a_candidate(line) -> None:
    line.publish(answer=8)
    with pytest.raises(ImageFailed, match="/answer"):
        integrate("tiny")
    assert candidates("tiny") == []


def test_a_commit_that_answers_wrongly_is_taken_back_blamed_and_not_brought_back(line) -> None:
    good = integrate("tiny")
    release("tiny", "local")
    bad = line.commit(good="bad")
    integrate("tiny")
    with pytest.raises(ReleaseFailed, match="/greeting"):
        release("tiny", "local")
    assert line.ask("/greeting") == "good"
    assert state().current.candidate == good
    assert [(b.commit, b.model) for b in state().blocks] == [(bad, None)]
    assert release("tiny", "local") is None
    with pytest.raises(Refused, match="unblock"):
        release("tiny", "local", bad[:12])


def test_a_bad_model_does_not_return_with_the_next_commit(line) -> None:
    integrate("tiny")
    first = release("tiny", "local")
    model = line.publish(deep="bad")
    integrate("tiny")
    with pytest.raises(ReleaseFailed, match="/deep"):
        release("tiny", "local")
    assert [(b.commit, b.model) for b in state().blocks] == [(None, model)]
    commit = line.commit()
    integrate("tiny", model=first.candidate.pair.model)
    done = release("tiny", "local")
    assert (done.candidate.pair.commit, done.candidate.pair.model) == (commit, first.candidate.pair.model)


def test_a_first_release_that_fails_leaves_nothing_running(line) -> None:
    line.publish(deep="bad")
    integrate("tiny")
    with pytest.raises(ReleaseFailed):
        release("tiny", "local")
    assert state().current is None and len(state().blocks) == 1
    assert status("tiny")[0].environments[0].digests == ()


def test_going_back_by_hand_stays_until_somebody_lifts_the_block(line) -> None:
    integrate("tiny")
    first = release("tiny", "local")
    line.commit()
    integrate("tiny")
    second = release("tiny", "local")
    assert rollback("tiny", "local", why="users complain").candidate == first.candidate
    assert release("tiny", "local") is None
    assert "users complain" in unblock("tiny", "local", second.candidate.pair.commit[:8], "it was the network", "ann")
    assert release("tiny", "local").candidate == second.candidate


def test_what_a_person_blocks_is_not_chosen(line) -> None:
    candidate = integrate("tiny")
    block("tiny", "local", candidate.tag, "not on a Friday", "ann")
    assert release("tiny", "local") is None


def test_a_dry_run_changes_nothing(line) -> None:
    integrate("tiny")
    assert release("tiny", "local", dry_run=True) is None
    assert state().current is None and state().history == ()


def test_prune_keeps_what_runs_and_what_it_goes_back_to(line) -> None:
    kept = []
    for _ in range(2):
        integrate("tiny")
        kept.append(release("tiny", "local").candidate.tag)
        line.commit()
    for _ in range(2):
        line.commit()
        integrate("tiny")
    gone = prune("tiny", dry_run=True, keep=1)
    assert len(gone) == 1 and not set(kept) & set(gone)
    assert prune("tiny", keep=1) == gone and prune("tiny", keep=1) == []
    assert rollback("tiny", "local").candidate.tag == kept[0]


def three_releases(line) -> list:
    done = []
    for _ in range(3):
        integrate("tiny")
        done.append(release("tiny", "local").candidate)
        line.commit()
    return done


def test_going_back_twice_goes_back_twice(line) -> None:
    first, second, _ = three_releases(line)
    assert rollback("tiny", "local").candidate == second
    assert rollback("tiny", "local").candidate == first
    with pytest.raises(Refused, match="nothing to go back to"):
        rollback("tiny", "local")


STAGING = 'after = "staging"\n[environments.staging]\ntarget = "process:"\naddress = "127.0.0.1:0"'


@pytest.mark.more(STAGING)
def test_what_was_taken_back_in_staging_does_not_come_to_production(line) -> None:
    integrate("tiny")
    release("tiny", "staging")
    line.commit()
    second = integrate("tiny")
    release("tiny", "staging")
    rollback("tiny", "staging", why="wrong answers")
    with pytest.raises(Refused, match="blocked there"):
        release("tiny", "local", second.tag)
    assert release("tiny", "local").candidate != second


def test_prune_keeps_what_is_wanted_however_old_its_commit(line) -> None:
    integrate("tiny")
    for _ in range(2):
        line.publish()
        wanted = integrate("tiny")
    gone = prune("tiny", dry_run=True, keep=1)
    assert len(gone) == 2 and wanted.tag not in gone


def test_a_block_set_just_before_the_release_begins_is_heard(line) -> None:
    candidate = integrate("tiny")
    settings = Settings.load("tiny")
    target = backends.target(settings, "local")
    read = target.state()
    block("tiny", "local", candidate.tag, "not now", "ann")
    with pytest.raises(Refused, match="not now"):
        stages.begin(target, read, candidate, by="", run="")
    assert state().under_way is None
