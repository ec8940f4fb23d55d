"""Answers are lost, watches cut, and the API server comes back half awake: nothing of it costs a release."""

import pytest

from tandem.errors import ReleaseFailed, TandemError
from tests.contracts.kubernetes.place import RULES, Place, as_it_is, begin, quick, rules, service, take_back
from tests.contracts.kubernetes.wire import Asked, Wire

pytestmark = pytest.mark.usefixtures("stands")


def test_answers_that_are_lost_on_their_way_change_nothing(shared: Place, line: Wire) -> None:
    """Each change is carried out, its answer lost: it is made again, and nobody is taken for an editor."""
    lost = set[str]()

    def lose(asked: Asked) -> str | None:
        if asked[0] == "GET" or "dryRun" in asked[1] or asked[1] in lost:
            return None
        lost.add(asked[1])
        return "lose"

    shared.files = (quick(), service(), rules())
    target, before = shared.target(line.client()), as_it_is(shared)
    line.before = lose
    state = begin(target, image := shared.image("v2"), "r-lost")
    list(target.roll_out(image, state))
    assert target.running().digests == (image.digest,)
    lost.clear()
    take_back(target, state, ReleaseFailed("", "environment"))
    assert len(lost) >= 4 and as_it_is(shared) == before
    assert shared.api().get(RULES) is None


def test_watches_that_are_cut_silenced_or_too_old_cost_no_release(shared: Place, line: Wire) -> None:
    turn = iter(range(10**6))
    ways = ("410", "cut", None, "504", "410", None)

    def trouble(asked: Asked) -> str | None:
        return ways[next(turn) % len(ways)] if "watch=1" in asked[1] else None

    target, before = shared.target(line.client()), as_it_is(shared)
    line.before = trouble
    state = begin(target, image := shared.image("v2"), "r-cut")
    list(target.roll_out(image, state))
    assert target.running().digests == (image.digest,) and line.watches() > 6
    take_back(target, state, ReleaseFailed("", "environment"))
    assert as_it_is(shared) == before


def test_an_api_server_that_comes_back_without_its_roles_is_waited_for(shared: Place, line: Wire) -> None:
    target, ways = shared.target(line.client()), iter(["403", "504", "403", "403"])
    line.before = lambda asked: next(ways, None)
    with pytest.raises(TandemError, match="cannot get it"):
        target.state()  # it was not away: no is no
    assert target.state().value.current
    assert next(ways, None) is None
