"""Who reads a message at night knows what happened, why, and what to do."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tandem.errors import ImageFailed, SuiteFailed, TandemError, Unreachable
from tandem.flows import wording
from tandem.flows.ingredients import Ingredients
from tandem.records import Block, Candidate, Commit, Model, Pair, Release, State
from tandem.settings import MessagesSettings

NOW = datetime(2026, 11, 23, 2, 3, tzinfo=UTC)
LINKS = (("The run", "http://tandem.example.org/runs/flow-run/0a1b"),)
COMMIT = Commit("3f2a91c04b7e" + "0" * 28, "Ann", "ann@example.org", "Round prices", NOW)
CHOSEN = Ingredients(COMMIT, Model("digits", "9d1e00aa12cd" + "0" * 52, ()), "5b6c7d8e" + "0" * 56)
NEW = Candidate("digits", CHOSEN.pair, "sha256:new")
OLD = Candidate("digits", Pair("1" * 40, CHOSEN.pair.model, CHOSEN.recipe), "sha256:old")
GOOD = Release("20261122-020000-1111111", OLD, NOW - timedelta(days=1), NOW - timedelta(days=1), "released")


def failed(reason: str, *blocks: Block, current: Release | None = GOOD) -> State:
    bad = Release("20261123-020000-3f2a91c", NEW, NOW, NOW, "rolled back", reason, run="0a1b")
    return State("digits", "production", current, (bad, GOOD), blocks=blocks)


def released(*blocks: Block, by: str = "", candidate: Candidate = NEW) -> State:
    release = Release("20261123-020000-3f2a91c", candidate, NOW, NOW, "released", by=by)
    return State("digits", "production", release, (release, GOOD), blocks=blocks)


def block(commit: str | None, model: str | None, release: str = "20261123-020000-3f2a91c") -> Block:
    return Block("answered 8, not 7", NOW, release, commit, model, by="" if release else "bea")


def test_tests_that_failed_are_the_commits_and_bad_luck_is_not() -> None:
    guilty = wording.integrate_failed("digits", CHOSEN, SuiteFailed("2 of 30 tests failed: test_seven"), False, LINKS)
    assert guilty.title == "digits: commit 3f2a91c04b7e did not come through: its own tests failed"
    assert "Round prices — Ann (3f2a91c04b7e), with model 9d1e00aa12cd" in guilty.text()
    assert "test_seven" in guilty.text() and "Push a fix" in guilty.text()
    assert guilty.commands == ("tandem integrate digits --commit 3f2a91c04b7e --model 9d1e00aa12cd",)
    unlucky = wording.integrate_failed("digits", CHOSEN, Unreachable("registry.example.org is away"), False, LINKS)
    assert "something around it failed" in unlucky.title and "tries again" in unlucky.text()
    assert "its image does not work" in wording.integrate_failed("digits", CHOSEN, ImageFailed("x"), False, LINKS).title


def test_a_commit_that_is_good_with_another_model_is_not_accused() -> None:
    message = wording.integrate_failed("digits", CHOSEN, ImageFailed("/score answered 8, not 7"), True, LINKS)
    assert message.title == "digits: model 9d1e00aa12cd did not come through: its image does not work"
    assert "good with another model" in message.text() and "Publish a better model" in message.text()


@pytest.mark.parametrize(
    ("commit", "model", "says", "lifts"),
    [
        (NEW.pair.commit, None, "commit 3f2a91c04b7e is blocked", "3f2a91c04b7e"),
        (None, NEW.pair.model, "model 9d1e00aa12cd is blocked", "9d1e00aa12cd"),
        (NEW.pair.commit, NEW.pair.model, "commit 3f2a91c04b7e with model 9d1e", "3f2a91c04b7e-9d1e00aa12cd"),
    ],
)
def test_what_is_to_blame_is_named_with_what_lifts_it(
    commit: str | None, model: str | None, says: str, lifts: str
) -> None:
    message = wording.failed(failed("POST /score answered 8, not 7", block(commit, model)), "Round prices — Ann", LINKS)
    assert message.kind == "rolled back" and says in message.title
    assert f"production runs {OLD.tag} again" in message.title and "answered 8, not 7" in message.text()
    assert message.commands == (f"tandem unblock digits production {lifts} --why TEXT",)


def test_an_environments_failure_says_that_nothing_is_blocked_and_what_still_runs() -> None:
    message = wording.failed(failed("quota: 0/3 pods could be scheduled"), "Round prices — Ann", LINKS)
    assert message.kind == "release failed" and "could not be released to production" in message.title
    assert f"production runs {OLD.tag}, as before" in message.text() and "nothing is blocked" in message.text()
    assert "quota" in message.text() and message.commands == ("tandem release digits production",)


def test_nothing_good_ever_ran_is_said_as_it_is() -> None:
    message = wording.failed(
        failed("crashed", block(NEW.pair.commit, NEW.pair.model), current=None), "Round prices — Ann", LINKS
    )
    assert "nothing runs in production" in message.title and "Users are served" not in message.text()


def test_the_one_message_to_get_up_for_says_so_in_its_title() -> None:
    message = wording.failed(
        failed(f"crashed; and {OLD.tag}, brought back: /score gives 502"), "Round prices — Ann", LINKS
    )
    assert "MAY BE DOWN" in message.title and "/score gives 502" in message.text() and "Look now" in message.text()


def test_a_release_says_what_came_in_and_how_to_take_it_back() -> None:
    message = wording.released(released(), "http://shop.example.org", "Round prices — Ann", LINKS)
    assert message.title == f"digits: production runs {NEW.tag}"
    assert "http://shop.example.org" in message.text() and "Round prices" in message.text()
    assert f"Before: {OLD.tag}" in message.text()
    assert message.commands == ("tandem rollback digits production --why TEXT",)


def test_going_back_by_hand_says_who_and_why() -> None:
    state = released(block("3" * 40, None, release=""), by="bea", candidate=OLD)
    message = wording.released(state, None, "", LINKS)
    assert message.title == f"digits: production is back on {OLD.tag}"
    assert "bea took it back by hand" in message.text() and "answered 8, not 7" in message.text()
    assert message.commands == ()


def test_the_gist_of_a_failure_is_the_same_every_night() -> None:
    nights = [
        "pod digits-7c9f5d8b6-x2x9z: 0/3 nodes are available at 02:03:11 (10.0.0.7)",
        "pod digits-6d8c4f7a5-qqbvz: 1/3 nodes are available at 02:04:52 (10.0.0.9)",
    ]
    assert len({wording.gist(night) for night in nights}) == 1
    assert wording.gist(nights[0]) != wording.gist("pod digits-x: the image cannot be pulled")


@pytest.mark.parametrize("error", [SuiteFailed(""), TandemError("x" * 5000), ImageFailed("a\n" * 900)])
def test_every_message_fits_into_a_chat(error: Exception) -> None:
    state = failed(str(error) or "?", block(NEW.pair.commit, None))
    messages = [
        wording.integrate_failed(
            "digits", replace(CHOSEN, commit=replace(COMMIT, subject="y" * 900)), error, True, LINKS
        ),
        wording.failed(state, "Round prices — Ann", LINKS),
        wording.released(released(), "http://shop.example.org", "z" * 900, LINKS),
        wording.not_begun("digits", "production", error, LINKS),
        wording.approval_wanted("digits", "production", NEW, "z" * 900, LINKS),
        wording.late("digits", "production", NOW - timedelta(minutes=43), NOW, False, LINKS),
        wording.trouble("digits", str(error), NOW - timedelta(hours=5), NOW, LINKS),
    ]
    assert all(len(message.subject) <= 110 and len(message.text()) <= 2000 for message in messages)
    assert {message.kind for message in messages} == set(MessagesSettings().on)
