"""Runs that are killed, that meet, that come too late: each ends in a clear state."""

import json
import shutil
import subprocess
import time

import pytest

from tandem.errors import Refused, ReleaseFailed
from tandem.flows import stages
from tandem.flows.approve import approve
from tandem.flows.backends import target
from tandem.flows.integrate import integrate
from tandem.flows.ops import block, candidates, status
from tandem.flows.reconcile import reconcile
from tandem.flows.release import release
from tandem.records import State
from tandem.settings import Settings

SLOW = """
[[environments.local.verify.request]]
path = "/slow"
within = "240s"
"""
RELEASE = "from tandem.flows.release import release; release('tiny', 'local')"


def state(environment: str = "local") -> State:
    return target(Settings.load("tiny"), environment).state().value


def killed_at(line, step: str) -> None:
    """A release that is killed as soon as it has come to this step."""
    with line.held(step):
        process = line.start(RELEASE)
        line.until(lambda: (under_way := state().under_way) and under_way.step == step, process)
        process.kill()
        process.wait()
    line.lease_is_over()


def test_a_release_killed_before_the_switch_is_taken_back_and_blames_nobody(line) -> None:
    good = integrate("tiny")
    release("tiny", "local")
    line.commit()
    new = integrate("tiny")
    killed_at(line, "roll out")
    assert line.ask() == 7, "the old one serves all the time"
    reconcile("tiny")
    assert state().under_way is None and state().blocks == () and state().current.candidate == good
    assert release("tiny", "local").candidate == new


@pytest.mark.more(SLOW)
def test_a_release_killed_after_the_switch_is_recorded_as_released(line) -> None:
    integrate("tiny")
    release("tiny", "local")
    line.publish()
    new = integrate("tiny")
    killed_at(line, "verify")
    reconcile("tiny")
    assert state().under_way is None and state().current.candidate == new and state().blocks == ()


@pytest.mark.more(SLOW)
def test_a_rollback_that_is_killed_is_ended_and_keeps_its_blame(line) -> None:
    integrate("tiny")
    release("tiny", "local")
    bad = line.commit(good="bad")
    integrate("tiny")
    killed_at(line, "roll back")
    reconcile("tiny")
    assert state().under_way is None and line.ask("/greeting") == "good"
    assert [(b.commit, b.model) for b in state().blocks] == [(bad, None)]


def test_two_releases_at_once_release_once(line) -> None:
    integrate("tiny")
    both = [line.start(RELEASE) for _ in range(2)]
    assert [process.wait(240) for process in both] == [0, 0]
    assert [r.outcome for r in state().history] == ["released"]


def test_a_block_set_during_a_release_is_kept_and_does_not_stop_it(line) -> None:
    integrate("tiny")
    release("tiny", "local")
    line.commit()
    new = integrate("tiny")
    with line.held("roll out"):
        process = line.start(RELEASE)
        line.until(lambda: state().under_way, process)
        block("tiny", "local", state().current.candidate.pair.commit, "old and bad", "ann")
    assert process.wait(240) == 0
    assert len(state().blocks) == 1 and state().under_way is None and state().current.candidate == new


def test_what_was_good_and_does_not_come_back_well_blames_the_environment(line) -> None:
    integrate("tiny")
    release("tiny", "local")
    toml = line.root / "deployments" / "tiny" / "app.toml"
    toml.write_text(toml.read_text() + '[[environments.local.verify.request]]\npath = "/nowhere"\n')
    line.commit()
    integrate("tiny")
    with pytest.raises(ReleaseFailed, match="/nowhere"):
        release("tiny", "local")
    assert state().blocks == () and "brought back" in state().history[0].reason
    assert line.ask() == 7


@pytest.mark.more("approval = true")
def test_an_approval_is_asked_for_given_and_starts_the_release(line) -> None:
    candidate = integrate("tiny")
    assert release("tiny", "local") is None and state().current is None
    assert approve("tiny", "local", candidate.tag, by="ann").candidate == candidate
    assert line.ask() == 7


@pytest.mark.more("approval = true")
def test_approving_what_is_superseded_or_blocked_is_refused_with_the_reason(line) -> None:
    old = integrate("tiny")
    line.commit()
    new = integrate("tiny")
    with pytest.raises(Refused, match=f"superseded.*{new.tag}"):
        approve("tiny", "local", old.tag)
    block("tiny", "local", new.tag, "wrong prices", "ann")
    with pytest.raises(Refused, match="wrong prices"):
        approve("tiny", "local", new.tag)


STAGING = 'after = "staging"\n[environments.staging]\ntarget = "process:"\naddress = "127.0.0.1:0"'


@pytest.mark.more(STAGING)
def test_production_admits_only_what_was_verified_in_staging(line) -> None:
    candidate = integrate("tiny")
    assert release("tiny", "local") is None
    with pytest.raises(Refused, match="not verified in staging"):
        release("tiny", "local", candidate.tag)
    release("tiny", "staging")
    assert release("tiny", "local").candidate == candidate


def test_one_apps_trouble_does_not_stop_another(line) -> None:
    (line.root / "deployments" / "broken").mkdir()
    (line.root / "deployments" / "broken" / "app.toml").write_text("no toml")
    integrate("tiny")
    with pytest.raises(Exception, match="broken"):
        reconcile()
    assert [each.app for each in status() if each.trouble] == ["broken"]


def test_a_full_disk_ends_in_a_message_and_nothing_half(line, tmp_path) -> None:
    small = tmp_path / "registry"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)], check=True)
    try:
        line.publish(weights="x" * 100_000)
        with pytest.raises(Exception, match=r"(?i)space|room|full"):
            integrate("tiny")
    finally:
        subprocess.run(["umount", str(small)], check=True)
    candidate = integrate("tiny")
    assert json.loads((small / "index.json").read_text())["manifests"]
    assert release("tiny", "local").candidate == candidate


def test_an_integrate_killed_anywhere_is_repeated_to_the_very_same_image(line) -> None:
    for seconds in (1.5, 2.5, 3.5):
        process = line.start("from tandem.flows.integrate import integrate; integrate('tiny')")
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    candidate = integrate("tiny")
    assert [card.candidate for card in candidates("tiny")] == [candidate]
    shutil.rmtree(line.root / "registry")
    assert integrate("tiny") == candidate, "bit for bit, from nothing"


def test_a_model_published_during_a_build_waits_for_the_next_one(line) -> None:
    process = line.start("from tandem.flows.integrate import integrate; integrate('tiny')")
    first = next(iter(state_of_models(line)))
    time.sleep(1)
    second = line.publish()
    assert process.wait(240) == 0
    integrate("tiny")
    assert {card.candidate.pair.model for card in candidates("tiny")} <= {first, second}
    assert second in {card.candidate.pair.model for card in candidates("tiny")}


def state_of_models(line) -> list[str]:
    pointer = json.loads((line.root / "store" / "answers" / "latest.json").read_text())
    return [version["version"] for version in pointer["versions"]]


def test_going_back_by_hand_and_killed_still_blocks_what_was_gone_back_from(line) -> None:
    integrate("tiny")
    first = release("tiny", "local").candidate
    line.commit()
    integrate("tiny")
    release("tiny", "local")
    settings = Settings.load("tiny")
    where = target(settings, "local")
    began = stages.begin(where, where.state(), first, by="ann", run="", back="users complain")
    for _ in where.roll_out(stages.image_of(settings, first), began):
        pass  # and here it is killed
    reconcile("tiny")
    assert state().current.candidate == first and state().under_way is None
    assert [b.why for b in state().blocks] == ["users complain"]
    assert release("tiny", "local") is None
