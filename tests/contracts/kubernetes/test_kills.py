"""SIGKILL at each change that a release and its way back make: the same call again, or the way back, ends it."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable

import pytest

from tandem.errors import ReleaseFailed
from tandem.targets.kubernetes.target import KubernetesTarget
from tests.contracts.kubernetes.place import RULES, Place, as_it_is, begin, pods, quick, rules, service, take_back
from tests.contracts.kubernetes.wire import Asked, Wire

pytestmark = pytest.mark.usefixtures("stands")
WAITING = 0
FILES = (quick(), service(), rules())


def killed(line: Wire, place: Place, change: int, call: Callable[[KubernetesTarget], object]) -> bool:
    """Make the call in a process that is killed before its n-th change, or when it waits; whether it was."""

    def run() -> None:
        call(place.target(line.client()))
        os._exit(0)  # what others left to be done at this process' end is not the child's

    process, started = multiprocessing.get_context("fork").Process(target=run), threading.Event()
    made = 0

    def kill(asked: Asked) -> str | None:
        nonlocal made
        if asked[0] != "GET" and "dryRun" not in asked[1]:
            made += 1
        if (change and made == change) or (not change and made and "watch=1" in asked[1]):
            made = -1000
            assert started.wait(60) and process.pid  # 0 would be this process and all that began it
            os.kill(process.pid, signal.SIGKILL)
            return "cut"
        return "cut" if made < 0 else None

    line.before = kill
    process.start()
    started.set()
    process.join(200)
    line.before = lambda asked: None
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def one_version(place: Place, digest: str) -> None:
    assert place.target().running().digests == (digest,)
    assert len(pods(place)) == 1


def nothing_came(place: Place) -> bool:
    return place.api().get(RULES) is None


def test_a_release_killed_at_each_change_in_turn_is_ended_by_the_same_call(shared: Place, line: Wire) -> None:
    before, image = as_it_is(shared), shared.image("v2")
    target, shared.files = shared.target(), FILES
    state = begin(target, image, "r-again")
    for change in (1, 2, 3, 4, WAITING):
        assert killed(line, shared, change, lambda t: list(t.roll_out(image, state))) or change == 4
    list(target.roll_out(image, state))
    one_version(shared, image.digest)
    assert not nothing_came(shared)
    take_back(target, state, ReleaseFailed("killed", "environment"))
    assert as_it_is(shared) == before and nothing_came(shared)


@pytest.mark.parametrize("change", [2, 3, WAITING])
def test_a_release_killed_at_a_change_is_undone(shared: Place, line: Wire, change: int) -> None:
    before, ran, image = as_it_is(shared), pods(shared), shared.image("v2")
    target, shared.files = shared.target(), FILES
    state = begin(target, image, f"r-back-{change}")
    assert killed(line, shared, change, lambda t: list(t.roll_out(image, state)))
    take_back(target, state, ReleaseFailed("killed", "environment"))
    assert (as_it_is(shared), pods(shared)) == (before, ran) and nothing_came(shared)


def test_a_way_back_that_is_killed_again_and_again_is_ended_by_the_same_call(shared: Place, line: Wire) -> None:
    before, image = as_it_is(shared), shared.image("v2")
    target, shared.files = shared.target(), FILES
    state = begin(target, image, "r-way-back")
    list(target.roll_out(image, state))
    under_way, current = state.value.under_way, state.value.current
    assert under_way and current
    kills = 0
    while killed(line, shared, 2, lambda t: list(t.restore(under_way.snapshot, state))):
        kills += 1  # after one more change than the time before
    assert kills >= 3
    take_back(target, state, ReleaseFailed("killed", "environment"))
    assert as_it_is(shared) == before and nothing_came(shared)
    one_version(shared, current.candidate.digest)
