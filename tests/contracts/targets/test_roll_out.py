"""Bringing images in and out again, on every target."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tandem.errors import ReleaseFailed, StateChanged
from tandem.records import Block, Image, Progress, Running, Snapshot, State, Versioned
from tandem.seams import Target

BringIn = Callable[[Image], list[Progress]]
Answer = Callable[[], dict[str, object]]
Serves = Callable[[str], None]


def test_nothing_runs_before_the_first_release(target: Target) -> None:
    assert target.running() == Running((), None)
    assert target.snapshot() == Snapshot({})
    assert target.log() == ""


def test_an_image_comes_in_and_the_next_takes_its_place(
    target: Target, make_image: Callable[..., Image], bring_in: BringIn, serves: Serves
) -> None:
    one, two = make_image("v1"), make_image("v2")
    said = bring_in(one)
    assert said[-1].done == said[-1].total > 0
    assert target.running().digests == (one.digest,)
    serves("v1")
    bring_in(two)
    assert target.running().digests == (two.digest,)
    serves("v2")
    assert "version v2 starts" in target.log()


def test_a_preview_names_what_would_change_and_changes_nothing(
    target: Target, make_image: Callable[..., Image], bring_in: BringIn, answer: Answer
) -> None:
    one, two = make_image("v1"), make_image("v2")
    bring_in(one)
    before = answer()
    (line,) = [line for line in target.preview(two) if two.digest in line]
    assert one.digest in line
    assert answer() == before and target.preview(one) == []


def test_tidying_up_leaves_what_runs_and_what_ran_before(
    target: Target,
    make_image: Callable[..., Image],
    bring_in: BringIn,
    serves: Serves,
    record_release: Callable[[str], Versioned[State]],
) -> None:
    one, two = make_image("v1"), make_image("v2")
    for image in (one, two):
        bring_in(image)
        record_release(image.digest)
        for _ in range(2):
            list(target.finish(image))
    serves("v2")
    bring_in(one)
    serves("v1")


def test_bringing_in_what_runs_already_leaves_it_running(
    make_image: Callable[..., Image], bring_in: BringIn, answer: Answer
) -> None:
    bring_in(make_image("v1"))
    before = answer()
    bring_in(make_image("v1"))
    assert answer() == before


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("crash", r"ended \(exit code 1\)"),
        ("never-ready", r"did not answer 200 within .* \(last: status 503|not ready within .*statuscode: 503"),
    ],
)
def test_a_bad_image_is_the_candidates_fault_and_no_user_meets_it(
    target: Target,
    make_image: Callable[..., Image],
    bring_in: BringIn,
    answer: Answer,
    hasten: Callable[[], None],
    how: str,
    reason: str,
) -> None:
    good = make_image("v1")
    bring_in(good)
    before = answer()
    if how == "never-ready":
        hasten()
    with pytest.raises(ReleaseFailed, match=reason) as failed:
        bring_in(make_image("v2", how))
    assert failed.value.fault == "candidate"
    assert f"version v2 starts {how}" in failed.value.log
    assert target.running().digests == (good.digest,)
    assert answer() == before


@pytest.mark.parametrize("kind", ["process", "docker"], indirect=True)
def test_an_app_that_answers_wrongly_is_found_before_a_user_meets_it(
    target: Target, make_image: Callable[..., Image], bring_in: BringIn, answer: Answer
) -> None:
    bring_in(make_image("v1"))
    before = answer()
    with pytest.raises(ReleaseFailed, match=r"GET /version: expected .* in the body, got .*wrong") as failed:
        bring_in(make_image("v2", "wrong"))
    assert failed.value.fault == "candidate"
    assert answer() == before


def test_a_command_that_is_no_program_is_the_candidates_fault(
    make_image: Callable[..., Image], bring_in: BringIn
) -> None:
    with pytest.raises(
        ReleaseFailed, match=r"'pyhton' could not be started: No such file|exit code 127|not found in"
    ) as failed:
        bring_in(make_image("v1", command=("pyhton", "app.py", "{listen}")))
    assert failed.value.fault == "candidate"


def test_an_image_that_the_registry_lost_is_the_environments_fault(
    make_image: Callable[..., Image], bring_in: BringIn, tmp_path: Path
) -> None:
    image = make_image("v1")
    if (blobs := tmp_path / "registry" / "blobs").exists():
        shutil.rmtree(blobs)
    else:
        image.registry.delete(image.digest)
    with pytest.raises(ReleaseFailed, match=r"could not be fetched|is not in the registry") as failed:
        bring_in(image)
    assert failed.value.fault == "environment"


def test_a_release_that_lost_the_state_changes_nothing(
    target: Target,
    make_image: Callable[..., Image],
    bring_in: BringIn,
    serves: Serves,
    record_release: Callable[[str], Versioned[State]],
) -> None:
    stale = target.state()
    one = make_image("v1")
    bring_in(one)
    record_release(one.digest)
    with pytest.raises(StateChanged):
        list(target.roll_out(make_image("v2"), stale))
    serves("v1")


@pytest.mark.parametrize("kind", ["process", "docker"], indirect=True)
def test_a_release_that_loses_the_state_while_it_starts_never_reaches_users(
    target: Target,
    make_image: Callable[..., Image],
    bring_in: BringIn,
    serves: Serves,
    record_release: Callable[[str], Versioned[State]],
) -> None:
    one = make_image("v1")
    bring_in(one)
    steps = target.roll_out(make_image("v2"), target.state())
    while "started aside" not in next(steps).message:
        pass
    record_release(one.digest)
    with pytest.raises(StateChanged):
        list(steps)
    assert target.running().digests == (one.digest,)
    serves("v1")


def test_a_block_recorded_meanwhile_stops_neither_a_release_nor_its_way_back(
    target: Target, make_image: Callable[..., Image], bring_in: BringIn, serves: Serves
) -> None:
    def block(why: str) -> None:
        state = target.state()
        new = Block(why, datetime(2026, 1, 1, tzinfo=UTC), "", model="d" * 64)
        target.record(Versioned(replace(state.value, blocks=(*state.value.blocks, new)), state.token))

    bring_in(make_image("v1"))
    snapshot, begun = target.snapshot(), target.state()
    block("before it starts")
    for progress in target.roll_out(make_image("v2"), begun):
        block(progress.message)
    serves("v2")
    for progress in target.restore(snapshot, begun):
        block(progress.message)
    serves("v1")


def test_a_snapshot_brings_back_what_ran_as_often_as_it_is_asked_to(
    target: Target, make_image: Callable[..., Image], bring_in: BringIn, serves: Serves
) -> None:
    bring_in(make_image("v1"))
    snapshot = target.snapshot()
    bring_in(make_image("v2"))
    for _ in range(2):
        list(target.restore(snapshot, target.state()))
        serves("v1")


def test_a_first_release_that_is_undone_leaves_nothing_running(
    target: Target, make_image: Callable[..., Image], bring_in: BringIn
) -> None:
    nothing = target.snapshot()
    bring_in(make_image("v1"))
    for _ in range(2):
        list(target.restore(nothing, target.state()))
        assert target.running() == Running((), None)
    assert target.snapshot() == nothing


def test_a_restore_that_lost_the_state_changes_nothing(
    target: Target,
    make_image: Callable[..., Image],
    bring_in: BringIn,
    serves: Serves,
    record_release: Callable[[str], Versioned[State]],
) -> None:
    nothing, stale = target.snapshot(), target.state()
    one = make_image("v1")
    bring_in(one)
    record_release(one.digest)
    with pytest.raises(StateChanged):
        list(target.restore(nothing, stale))
    serves("v1")
