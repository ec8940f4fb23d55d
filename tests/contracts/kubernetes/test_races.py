"""Others edit and release at the same time: exactly one wins, and nothing of theirs is lost unseen."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tandem.errors import ReleaseFailed, StateChanged, TandemError
from tandem.records import Release, UnderWay, Versioned
from tandem.targets.kubernetes import cluster as of_the_client
from tests.contracts.kubernetes.place import (
    AT,
    RULES,
    Place,
    as_it_is,
    begin,
    bring_in,
    candidate,
    go_to,
    pods,
    quick,
    rules,
    service,
    take_back,
)
from tests.contracts.kubernetes.wire import Asked, Wire

pytestmark = pytest.mark.usefixtures("stands")


def image_of(place: Place) -> str:
    return place.kubectl("get", "deployment", "digits", "-o", "jsonpath={.spec.template.spec.containers[0].image}")


def env_of(place: Place) -> str:
    return place.kubectl(
        "get", "deployment", "digits", "-o", "jsonpath={.spec.template.spec.containers[0].env[*].name}"
    )


def test_an_edit_between_snapshot_and_apply_makes_the_release_lose_and_stays(shared: Place, line: Wire) -> None:
    target = shared.target()
    state = begin(target, image := shared.image("v2"), "r-early")
    shared.kubectl("set", "env", "deployment/digits", "EARLY=1")
    with pytest.raises(ReleaseFailed, match=r"Deployment/digits was edited by somebody else.*kubectl-set") as failed:
        list(target.roll_out(image, state))
    assert failed.value.fault == "environment"
    take_back(target, state, failed.value)
    assert env_of(shared) == "EARLY"

    def edit(asked: Asked) -> None:  # at the last moment: asked first, and not yet applied
        if asked[0] == "PATCH" and "deployments/digits" in asked[1] and "dryRun" not in asked[1]:
            line.before = lambda asked: None
            shared.kubectl("set", "env", "deployment/digits", "LATE=1")

    target = shared.target(line.client())
    state = begin(target, image, "r-late")
    line.before = edit
    with pytest.raises(ReleaseFailed, match=r"Deployment/digits was edited by somebody else.*kubectl-set") as failed:
        list(target.roll_out(image, state))
    take_back(target, state, failed.value)
    assert env_of(shared) == "EARLY LATE"
    shared.kubectl("set", "env", "deployment/digits", "EARLY-", "LATE-")
    shared.kubectl("rollout", "status", "deployment/digits", "--timeout=180s")


def test_an_object_that_somebody_makes_at_the_last_moment_stays_theirs(shared: Place, line: Wire) -> None:
    def make(asked: Asked) -> None:
        if asked[0] == "PATCH" and "configmaps/rules" in asked[1] and "dryRun" not in asked[1]:
            line.before = lambda asked: None
            shared.kubectl("create", "configmap", "rules", "--from-literal=theirs=1")

    shared.files, target = (quick(), service(), rules()), shared.target(line.client())
    state = begin(target, image := shared.image("v2"), "r-made")
    line.before = make
    with pytest.raises(ReleaseFailed, match=r"ConfigMap/rules was edited .*kubectl-create") as failed:
        list(target.roll_out(image, state))
    take_back(target, state, failed.value)
    assert shared.kubectl("get", "configmap", "rules", "-o", "jsonpath={.data}") == '{"theirs":"1"}'
    shared.kubectl("delete", "configmap", "rules")


@pytest.mark.parametrize(
    ("edit", "named"),
    [
        (["set", "env", "deployment/digits", "DURING=1"], "Deployment/digits was edited .*kubectl-set"),
        (["delete", "deployment", "digits"], "Deployment/digits was deleted"),
        (
            ["patch", "service", "digits", "-p", '{"spec": {"selector": {"app": "another"}}}'],
            "Service/digits was edited .*kubectl-patch",
        ),
    ],
)
def test_an_edit_during_the_rollout_is_named_and_undone(shared: Place, edit: list[str], named: str) -> None:
    target, before, ran = shared.target(), as_it_is(shared), pods(shared)
    how = "never-ready" if edit[0] == "set" else ""  # so that the old pods stand, however long kubectl takes
    state = begin(target, image := shared.image("v2", how), f"r-{edit[0]}")
    steps = target.roll_out(image, state)
    go_to(steps, "objects applied")
    shared.kubectl(*edit)
    with pytest.raises(ReleaseFailed, match=named) as failed:
        list(steps)
    assert failed.value.fault == "environment"
    take_back(target, state, failed.value)
    assert [content for content, _ in as_it_is(shared)] == [content for content, _ in before]
    if edit[0] == "set":  # at once, while the old pods still stood
        assert (as_it_is(shared), pods(shared)) == (before, ran)


def test_a_status_alone_is_no_edit(shared: Place) -> None:
    target = shared.target()
    state = begin(target, image := shared.image("v2"), "r-status")
    status = '{"status": {"conditions": [{"type": "Seen", "status": "True"}]}}'
    shared.kubectl("patch", "deployment", "digits", "--subresource=status", "-p", status)
    steps = target.roll_out(image, state)
    go_to(steps, "objects applied")
    shared.kubectl("patch", "deployment", "digits", "--subresource=status", "-p", status.replace("Seen", "Again"))
    list(steps)
    take_back(target, state, ReleaseFailed("", "environment"))


@pytest.mark.parametrize("late", ["services/digits", "deployments/digits", "configmaps/rules"])
def test_a_release_that_was_ended_while_it_slept_changes_nothing_that_lasts(
    shared: Place, line: Wire, late: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It wakes in the middle of its changes, long after another has brought back what ran."""
    monkeypatch.setattr(of_the_client, "ONE_TRY", 120.0)  # else it gives the request up that sleeps, and makes it again
    shared.files = (quick(), service(), rules())
    ended, before = shared.target(), as_it_is(shared)
    asleep, awake = threading.Event(), threading.Event()

    def sleep(asked: Asked) -> None:
        if asked[0] == "PATCH" and late in asked[1] and "dryRun" not in asked[1]:
            line.before = lambda asked: None
            asleep.set()
            awake.wait(120)

    sleeper = shared.target(line.client())
    state = begin(ended, image := shared.image("v2"), f"r-asleep-{late[:3]}")
    line.before = sleep
    with ThreadPoolExecutor(1) as pool:
        release = pool.submit(lambda: list(sleeper.roll_out(image, state)))
        assert asleep.wait(60)
        take_back(ended, state, ReleaseFailed("killed", "environment"))
        awake.set()
        with pytest.raises(StateChanged):
            release.result(120)
    assert as_it_is(shared) == before
    assert shared.api().get(RULES) is None


def test_a_release_that_another_took_the_place_of_loses_to_it(shared: Place, line: Wire) -> None:
    first, second = shared.target(), shared.target()
    one, two = shared.image("v2"), shared.image("v3")
    state = begin(first, one, "r-first")
    steps = first.roll_out(one, state)
    go_to(steps, "objects applied")
    take_back(second, state, ReleaseFailed("taken for dead", "environment"))
    bring_in(second, two, "r-second")
    with pytest.raises(StateChanged, match="r-second"):
        list(steps)
    with pytest.raises(StateChanged):
        list(first.restore(state.value.under_way.snapshot, state))  # type: ignore[union-attr]
    assert second.running().digests == (two.digest,)


def test_of_two_that_release_at_once_exactly_one_wins(shared: Place) -> None:
    images = {name: shared.image(name) for name in ("v4", "v5")}
    ready = threading.Barrier(2)

    def release(name: str) -> str | None:
        target, image = shared.target(), images[name]
        state = target.state()
        ready.wait(60)
        try:
            under_way = UnderWay(Release(f"r-{name}", candidate(image), AT), "roll out", target.snapshot())
            state = target.record(Versioned(replace(state.value, under_way=under_way), state.token))
            list(target.roll_out(image, state))
        except TandemError as error:
            assert isinstance(error, StateChanged)
            return None
        return name

    with ThreadPoolExecutor(2) as pool:
        won = [name for name in pool.map(release, images) if name]
    assert len(won) == 1
    assert shared.target().running().digests == (images[won[0]].digest,)
    assert image_of(shared).endswith(images[won[0]].digest)
