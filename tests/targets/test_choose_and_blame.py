"""Newest, wanted, blame, blocks: the rules of docs/decisions.md, one sentence a test."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from tandem.records import Block, Candidate, Pair, Release, Snapshot, State
from tandem.targets import choose, transitions

NOW = datetime(2026, 1, 1, 2, tzinfo=UTC)
R = "r" * 64


def any_candidate(pair: Pair) -> Candidate:
    return Candidate("digits", pair, f"sha256:{pair.commit}{pair.model}{pair.recipe}")


def ended(state: State, pair: Pair, good: bool, fault: str = "candidate", night: int = 0) -> State:
    release = Release(f"n{night}-{pair.commit}-{pair.model}", any_candidate(pair), NOW)
    state = transitions.begun(state, release, Snapshot())
    now = NOW + timedelta(days=night)
    if good:
        return transitions.released(state, now)
    return transitions.rolled_back(transitions.at(state, "roll back", "it crashed", fault), now)


@pytest.fixture
def state() -> State:
    """c1 × m1 runs and is good."""
    return ended(State("digits", "local"), Pair("c1", "m1", R), good=True)


def wanted(commits: str, models: str, state: State) -> tuple[str, str] | None:
    pair = choose.wanted(commits.split(), models.split(), R, state)
    return pair and (pair.commit, pair.model)


def test_the_newest_commit_and_the_newest_model_are_wanted(state: State) -> None:
    assert wanted("c3 c2 c1", "m2 m1", state) == ("c3", "m2")


def test_a_bad_model_does_not_return_with_the_next_commit(state: State) -> None:
    state = ended(state, Pair("c1", "m2", R), good=False)
    assert [(b.commit, b.model) for b in state.blocks] == [(None, "m2")]
    assert wanted("c2 c1", "m2 m1", state) == ("c2", "m1")


def test_a_bad_commit_does_not_return_with_the_next_model(state: State) -> None:
    state = ended(state, Pair("c2", "m1", R), good=False)
    assert [(b.commit, b.model, b.recipe) for b in state.blocks] == [("c2", None, R)]
    assert wanted("c2 c1", "m2 m1", state) == ("c1", "m2")


def test_when_both_changed_the_new_commit_is_tried_with_the_last_good_model(state: State) -> None:
    state = ended(state, Pair("c2", "m2", R), good=False)
    assert wanted("c2 c1", "m2 m1", state) == ("c2", "m1")


def test_then_a_good_outcome_blames_the_model(state: State) -> None:
    state = ended(state, Pair("c2", "m2", R), good=False)
    state = ended(state, Pair("c2", "m1", R), good=True)
    assert [(b.commit, b.model) for b in state.blocks] == [(None, "m2")]
    assert wanted("c3 c2 c1", "m2 m1", state) == ("c3", "m1")


def test_and_a_bad_outcome_blames_the_commit_and_frees_the_model(state: State) -> None:
    state = ended(state, Pair("c2", "m2", R), good=False)
    state = ended(state, Pair("c2", "m1", R), good=False)
    assert [(b.commit, b.model) for b in state.blocks] == [("c2", None)]
    assert wanted("c2 c1", "m2 m1", state) == ("c1", "m2")


def test_an_environments_fault_blocks_nothing(state: State) -> None:
    state = ended(state, Pair("c2", "m1", R), good=False, fault="environment")
    assert state.blocks == () and state.history[0].outcome == "rolled back"
    assert wanted("c2 c1", "m1", state) == ("c2", "m1")


def test_the_very_pair_that_was_good_is_not_blamed_when_it_fails(state: State) -> None:
    assert ended(state, Pair("c1", "m1", R), good=False).blocks == ()


def test_a_first_release_that_fails_blocks_the_pair_only() -> None:
    state = ended(State("digits", "local"), Pair("c1", "m1", R), good=False)
    assert wanted("c1", "m1", state) is None
    assert wanted("c2 c1", "m1", state) == ("c2", "m1")
    assert wanted("c1", "m2 m1", state) == ("c1", "m2")


def test_a_changed_recipe_counts_as_a_changed_commit(state: State) -> None:
    state = ended(state, Pair("c1", "m1", "other"), good=False)
    assert [(b.commit, b.recipe, b.model) for b in state.blocks] == [("c1", "other", None)]
    assert wanted("c1", "m1", state) == ("c1", "m1")


def test_a_model_blocked_by_hand_is_left_for_the_one_before_it(state: State) -> None:
    state = transitions.blocked(state, Block("smells", NOW, "", model="m1", by="ann"))
    assert wanted("c1", "m1 m0", state) == ("c1", "m0")


def test_unblocking_brings_it_back(state: State) -> None:
    state = ended(state, Pair("c1", "m2", R), good=False)
    assert wanted("c1", "m2 m1", transitions.unblocked(state, state.blocks)) == ("c1", "m2")


def test_going_back_by_hand_blocks_what_was_gone_back_from(state: State) -> None:
    state = ended(state, Pair("c2", "m1", R), good=True)
    back = Release("back", any_candidate(Pair("c1", "m1", R)), NOW)
    state = transitions.taken_back(transitions.begun(state, back, Snapshot()), NOW, "users complain", "ann")
    assert wanted("c2 c1", "m1", state) == ("c1", "m1")
    assert state.current is not None and state.current.candidate.pair.commit == "c1"


def choice(commits: str, models: str, state: State, has: set[tuple[str, str]]) -> choose.Choice:
    def find(pair: Pair) -> Candidate | None:
        return any_candidate(pair) if (pair.commit, pair.model) in has else None

    return choose.choose(commits.split(), models.split(), R, state, find)


def test_without_a_candidate_of_the_wanted_pair_the_newest_one_that_has_it_goes(state: State) -> None:
    chosen = choice("c3 c2 c1", "m2 m1", state, {("c2", "m2"), ("c2", "m1"), ("c1", "m2")})
    assert chosen.candidate == any_candidate(Pair("c2", "m2", R))


def test_nothing_older_than_what_runs_is_chosen(state: State) -> None:
    state = ended(state, Pair("c2", "m2", R), good=True)
    assert choice("c3 c2 c1", "m2 m1", state, {("c1", "m2"), ("c2", "m1")}).candidate is None


def test_nothing_to_release_says_why(state: State) -> None:
    state = ended(state, Pair("c1", "m2", R), good=False)
    why = choice("c1", "m2 m1", state, {("c1", "m1"), ("c1", "m2")}).why
    assert why.startswith("nothing to release") and "m2" in why and "it crashed" in why and "2026-01-01" in why


def halves(commits: str, models: str, state: State) -> list[tuple[str, str]]:
    newest = Pair(commits.split()[0], models.split()[0], R)
    return [(p.commit, p.model) for p in choose.halves(newest, commits.split(), models.split(), state)]


def test_a_pair_that_breaks_the_tests_is_tried_in_halves_against_what_runs(state: State) -> None:
    assert halves("c3 c2 c1", "m3 m2 m1", state) == [("c3", "m1"), ("c1", "m3")]
    assert halves("c2 c1", "m1", state) == []
    assert halves("c1", "m2 m1", state) == []


def test_where_nothing_runs_yet_the_halves_go_one_step_back() -> None:
    assert halves("c2 c1", "m2 m1", State("digits", "local")) == [("c2", "m1"), ("c1", "m2")]


def is_good(pair: Pair, bad: set[str]) -> bool:
    return not {pair.commit, pair.model} & bad


@pytest.mark.parametrize("seed", range(40))
def test_over_many_nights_nothing_bad_returns_and_nothing_good_waits(seed: int) -> None:
    dice = random.Random(seed)
    commits, models, bad = ["c0"], ["m0"], set()
    state = ended(State("digits", "local"), Pair("c0", "m0", R), good=True)
    failed: list[Pair] = []
    for night in range(1, 80):
        for kind, things in (("c", commits), ("m", models)):
            if dice.random() < 0.4:
                things.insert(0, f"{kind}{len(things)}")
                if dice.random() < 0.4:
                    bad.add(things[0])
        chosen = choose.choose(commits, models, R, state, any_candidate).candidate
        if chosen is None:
            continue
        assert chosen.pair not in failed, f"night {night}: {chosen.pair} came back"
        if not is_good(chosen.pair, bad):
            failed.append(chosen.pair)
        state = ended(state, chosen.pair, is_good(chosen.pair, bad), night=night)
        assert state.current is not None and is_good(state.current.candidate.pair, bad)
    for night in range(80, 80 + 2 * (len(commits) + len(models))):  # nothing new any more: it comes to rest
        chosen = choose.choose(commits, models, R, state, any_candidate).candidate
        if chosen is not None:
            state = ended(state, chosen.pair, is_good(chosen.pair, bad), night=night)
    assert state.current is not None
    newest_good = [next(thing for thing in things if thing not in bad) for things in (commits, models)]
    assert state.current.candidate.pair == Pair(*newest_good, R)
    assert not [b for b in state.blocks if b.model and b.commit is None and b.model not in bad], "a good model blocked"
    assert not [b for b in state.blocks if b.commit and b.model is None and b.commit not in bad], (
        "a good commit blocked"
    )
