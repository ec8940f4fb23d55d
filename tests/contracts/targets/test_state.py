"""An environment's state, wherever a target keeps it."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tandem.errors import StateChanged
from tandem.records import Block, State, Versioned
from tandem.seams import Target

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def blocked(state: Versioned[State], why: str) -> Versioned[State]:
    value = replace(state.value, blocks=(*state.value.blocks, Block(why, AT, "r-1", commit="c" * 40)))
    return Versioned(value, state.token)


def test_an_environment_that_never_saw_a_release_has_an_empty_state(target: Target) -> None:
    assert target.state() == Versioned(State("digits", "local"), "")


def test_what_was_recorded_is_read_back_with_the_same_token(target: Target) -> None:
    written = target.record(blocked(target.state(), "it crashed"))
    assert target.state() == written
    assert written.value.blocks[0].since == AT


def test_of_two_who_read_the_same_state_only_the_first_records(target: Target) -> None:
    first, second = target.state(), target.state()
    target.record(blocked(first, "first"))
    with pytest.raises(StateChanged, match="changed since it was read"):
        target.record(blocked(second, "second"))
    assert [block.why for block in target.state().value.blocks] == ["first"]


def test_of_many_who_record_at_once_no_change_is_lost(target: Target) -> None:
    def insist(name: str) -> None:
        while True:
            try:
                target.record(blocked(target.state(), name))
                return
            except StateChanged:
                continue

    names = [f"block {number}" for number in range(12)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(insist, names))
    assert sorted(block.why for block in target.state().value.blocks) == sorted(names)


def test_the_state_of_a_release_says_what_ran_and_was_good(
    target: Target, record_release: Callable[[str], Versioned[State]]
) -> None:
    record_release(f"sha256:{'a' * 64}")
    record_release(f"sha256:{'b' * 64}")
    state = target.state().value
    assert state.current is not None
    assert state.current.candidate.digest == f"sha256:{'b' * 64}"
    assert state.verified == (f"sha256:{'b' * 64}", f"sha256:{'a' * 64}")
