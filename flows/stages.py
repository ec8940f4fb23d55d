"""What several flows share: how a task meets the network, and the stages of bringing an image in and out."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ParamSpec, TypeVar

from prefect import Task, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State as PrefectState
from prefect.client.schemas.objects import TaskRun
from prefect.tasks import exponential_backoff

from tandem.errors import ReleaseFailed, StateChanged, Unreachable
from tandem.records import Candidate, Image, Release, Snapshot, State, Versioned
from tandem.seams import Target
from tandem.settings import Settings
from tandem.targets import transitions
from tandem.targets.advance import advance
from tandem.targets.soak import soak
from tandem.targets.verify import failures, verify_address

from . import backends, cards, telling

P = ParamSpec("P")
R = TypeVar("R")


def worth_retrying(_task: object, _run: TaskRun, state: PrefectState[Any]) -> bool:
    """Only what may go better next time: a service that could not be reached, or asked to be left alone."""
    return isinstance(state.result(raise_on_failure=False), Unreachable)


def stage(name: str, network: bool = False) -> Callable[[Callable[P, R]], Task[P, R]]:
    """A task by the name that people see; one that touches a network is tried again, with backoff and jitter."""
    retries: dict[str, Any] = {
        "retries": 3,
        "retry_delay_seconds": exponential_backoff(backoff_factor=2),
        "retry_jitter_factor": 0.5,
        "retry_condition_fn": worth_retrying,
    }
    options = {
        "name": name,
        "task_run_name": name,
        "cache_policy": NO_CACHE,
        "persist_result": False,
        **(retries if network else {}),
    }
    return task(**options)


@stage("roll out")
def roll_out(target: Target, image: Image, state: Versioned[State]) -> None:
    """Bring the image in, and say how it goes."""
    log = get_run_logger()
    for progress in target.roll_out(image, state):
        log.info(progress.message)


@stage("verify")
def verify(settings: Settings, environment: str, target: Target, digest: str | None) -> str | None:
    """From outside: the platform runs this digest, and the address that users use, given back, answers rightly.

    `digest` None: nothing is meant to run. Raises ReleaseFailed.
    """
    running = target.running()
    if set(running.digests) != ({digest} if digest else set()):
        found = ", ".join(running.digests) or "nothing"
        raise ReleaseFailed(f"{environment} runs {found}, not {digest or 'nothing'}", "environment", target.log())
    if digest is None:
        return None
    if running.address is None:
        raise ReleaseFailed(f"{environment} gives no address to reach the app by", "environment", target.log())
    extra = settings.environment(environment).verify.request
    results = verify_address(running.address, settings.toml.verify, extra)
    for result in results:
        get_run_logger().info("%s", result)
    if wrong := failures(results):
        raise ReleaseFailed("; ".join(wrong), "candidate", target.log())
    table = settings.environment(environment).verify
    if table.soak:
        get_run_logger().info("asking on for %g s", table.soak)
        if worse := soak(running.address, (*settings.toml.verify.request, *extra), table.soak):
            raise ReleaseFailed(worse, "candidate", target.log())
    if restarts := target.running().restarts - running.restarts:
        raise ReleaseFailed(f"it crashed meanwhile, {restarts} times", "candidate", target.log())
    return running.address


@stage("tidy up")
def finish(target: Target, image: Image) -> None:
    """Remove what the release made unneeded; it is good without that, so trouble here is only said."""
    log = get_run_logger()
    try:
        for progress in target.finish(image):
            log.info(progress.message)
    except Exception as trouble:
        log.warning("not tidied up, the next release does it: %s", trouble)


@stage("roll back")
def restore(target: Target, snapshot: Snapshot, state: Versioned[State]) -> None:
    """Bring back what ran before the first change."""
    log = get_run_logger()
    for progress in target.restore(snapshot, state):
        log.info(progress.message)


def roll_back(
    settings: Settings, environment: str, target: Target, state: Versioned[State], failure: ReleaseFailed
) -> Versioned[State]:
    """Undo the release under way, see that what ran before is well, and block what is to blame.

    Where what was good before does not verify either, the environment is to blame, and nothing is blocked.
    """
    under_way = state.value.under_way
    if under_way is None:
        raise StateChanged(f"{environment}: the release under way was ended by somebody else")
    state = advance(target, state, lambda s: transitions.at(s, "roll back", failure.reason, failure.fault))
    current = state.value.current
    try:
        restore(target, under_way.snapshot, state)
        verify(settings, environment, target, current.candidate.digest if current else None)
    except ReleaseFailed as also:
        reason = f"{failure.reason}; and {current.candidate.tag if current else 'nothing'}, brought back: {also.reason}"
        state = advance(target, state, lambda s: transitions.at(s, "roll back", reason, "environment"))
    state = advance(target, state, lambda s: transitions.rolled_back(s, now()))
    cards.rolled_back(settings, environment, state.value, failure.log)
    telling.rolled_back(settings, environment, state.value)
    return state


def end_half_release(settings: Settings, environment: str, target: Target) -> Versioned[State]:
    """End what a killed run left half done; the caller holds the environment's lock, so that run is dead.

    Forwards where the new one runs and verifies, else back; its being killed is nobody's fault.
    """
    state = target.state()
    under_way = state.value.under_way
    if under_way is None:
        return state
    log, candidate = get_run_logger(), under_way.release.candidate
    log.warning("release %s of %s was left at '%s': ending it", under_way.release.id, candidate.tag, under_way.step)
    if under_way.step == "roll back":
        failure = ReleaseFailed(under_way.reason, under_way.fault or "environment")
        return roll_back(settings, environment, target, state, failure)
    try:
        verify(settings, environment, target, candidate.digest)
    except ReleaseFailed as failure:
        reason = f"the run of release {under_way.release.id} was killed at '{under_way.step}': {failure.reason}"
        return roll_back(settings, environment, target, state, ReleaseFailed(reason, "environment", failure.log))
    log.info("release %s had come in and verifies: recorded as released", under_way.release.id)
    state = advance(target, state, lambda s: transitions.verified(s, now()))
    telling.released(settings, environment, state.value)
    return state


def begin(
    target: Target, state: Versioned[State], candidate: Candidate, by: str, run: str, back: str | None = None
) -> Versioned[State]:
    """Record what is about to be done and what undoes it, before anything is changed.

    `back` is the reason where a person goes back by hand. Raises Refused where the candidate was blocked meanwhile.
    """
    began = now()
    release = Release(f"{began:%Y%m%d-%H%M%S}-{candidate.pair.commit[:7]}", candidate, began, by=by, run=run)
    return advance(target, state, lambda s: transitions.begun(s, release, target.snapshot(), back))


def now() -> datetime:
    """The clock: read at the edge and passed in."""
    return datetime.now(UTC)


def image_of(settings: Settings, candidate: Candidate) -> Image:
    """A candidate's image, from the registry."""
    return backends.image(backends.registry(settings), candidate.digest)
