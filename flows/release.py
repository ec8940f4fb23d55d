"""release: the newest good candidate comes into an environment, or what ran before stays, for good."""

from typing import cast

from prefect import flow, get_run_logger, runtime
from prefect.states import Completed

from tandem.errors import Refused, ReleaseFailed, StateChanged
from tandem.records import Candidate, Release, State, Versioned
from tandem.seams import Target
from tandem.settings import Settings
from tandem.targets import permission, transitions
from tandem.targets.advance import advance
from tandem.targets.choose import Choice

from . import approvals, backends, cards, follow, ingredients, late, rounds, stages, telling
from .backends import AppName, EnvironmentName
from .lock import environment_lock
from .stages import stage


@stage("choose", network=True)
def choose(settings: Settings, environment: str, state: State, candidate: str) -> Choice:
    """What the environment should run, and why. Raises Refused where a named candidate may not go there."""
    choice = ingredients.choose_candidate(settings, environment, state, candidate)
    get_run_logger().info(choice.why)
    return choice


@stage("write release notes", network=True)
def write_notes(settings: Settings, environment: str, state: State, candidate: Candidate) -> str:
    """The commits and the model that come in, against what runs."""
    repository, before = backends.repository(settings), state.current
    old = before.candidate.pair.commit if before else None
    commits = repository.between(old, candidate.pair.commit) if old else []
    new = ingredients.known_model(settings, candidate.pair)
    running = ingredients.known_model(settings, before.candidate.pair) if before else None
    return cards.release_notes(settings, environment, state, candidate, commits, new, running)


@stage("preview", network=True)
def preview(settings: Settings, target: Target, candidate: Candidate) -> None:
    """Say what a release would change."""
    for line in target.preview(stages.image_of(settings, candidate)) or ["nothing would change"]:
        get_run_logger().info(line)


@flow(
    flow_run_name="{app} to {environment}: {candidate}",
    description="Bring the newest good candidate into production.",
    on_failure=[telling.release_failed],
)
def release(
    app: AppName,
    environment: EnvironmentName,
    candidate: str = "newest",
    dry_run: bool = False,
    despite_freeze: str = "",
    unattended: bool = False,
) -> Release | None:
    """Choose, lock, roll out, verify, record; on failure roll back, verify, blame.

    Args:
        app: The app folder's name.
        environment: Where to: one of app.toml's environments.
        candidate: A candidate's tag or digest, or "newest": what the rules say should run now.
        dry_run: Say what would be done, and do nothing.
        despite_freeze: Why it cannot wait for the end of a freeze.
        unattended: Nobody asks for this run by hand: a schedule does, or Tandem itself. In a freeze it does nothing.
    """
    settings = Settings.load(app)
    target = backends.target(settings, environment)
    if unattended and (other := late.overtaken(stages.now())):
        return nothing_to_release(other)
    if unattended:
        rounds.began_late(settings, environment)
    with environment_lock(settings, environment):
        state = target.state() if dry_run else stages.end_half_release(settings, environment, target)
        choice = choose(settings, environment, state.value, candidate)
        if choice.candidate is None:
            return nothing_to_release(choice.why)
        cards.name_run(f"{app} to {environment}: {choice.candidate.tag}")
        frozen = held_by_freeze(settings, environment, choice.candidate, despite_freeze, unattended or dry_run)
        if frozen and not dry_run:
            return nothing_to_release(frozen)
        notes = write_notes(settings, environment, state.value, choice.candidate)
        if dry_run:
            preview(settings, target, choice.candidate)
            why = frozen or f"would release {choice.candidate.tag}: {choice.why}"
            return nothing_to_release(f"dry run: {why}")
        if approvals.missing(settings, environment, state.value, choice.candidate):
            newest = choose(settings, environment, state.value, "newest").candidate
            if newest != choice.candidate:
                raise Refused(f"{choice.candidate.tag} needs an approval and is superseded by {newest and newest.tag}")
            return nothing_to_release(approvals.ask(settings, environment, target, state, choice.candidate, notes))
        return bring_in(settings, environment, target, state, choice.candidate)


def held_by_freeze(settings: Settings, environment: str, candidate: Candidate, despite: str, patient: bool) -> str:
    """Why the candidate waits for the end of a freeze; "" where there is none, or somebody said why it cannot.

    Raises Refused where nobody did and the run is not `patient`: a person is there to be told.
    """
    holding = permission.freeze(settings.environment(environment), stages.now())
    if holding is None:
        return ""
    if despite:
        get_run_logger().warning("%s is %s; released all the same: %s", environment, holding, despite)
        return ""
    waits = f"{candidate.tag} waits: {environment} is {holding}"
    if patient:
        return waits
    raise Refused(f"{waits}; --despite-freeze TEXT releases it all the same, and a rollback is never frozen")


def bring_in(
    settings: Settings, environment: str, target: Target, state: Versioned[State], candidate: Candidate
) -> Release:
    """Roll out and verify, or roll back and blame: one of the two, whatever happens in between."""
    image = stages.image_of(settings, candidate)
    state = stages.begin(target, state, candidate, by="", run=str(runtime.flow_run.id or ""))
    try:
        stages.roll_out(target, image, state)
        state = advance(target, state, lambda s: transitions.at(s, "verify"))
        address = stages.verify(settings, environment, target, candidate.digest)
    except StateChanged:
        raise  # somebody else ended this release: what is there now is theirs
    except Exception as error:
        failure = error if isinstance(error, ReleaseFailed) else ReleaseFailed(repr(error), "environment", target.log())
        stages.roll_back(settings, environment, target, state, failure)
        raise failure from error
    state = advance(target, state, lambda s: transitions.verified(s, stages.now()))
    stages.finish(target, image)
    get_run_logger().info("%s runs %s at %s", environment, candidate.tag, address)
    telling.released(settings, environment, state.value, address)
    follow.hint(settings, after=environment)
    return state.value.history[0]


def nothing_to_release(why: str) -> Release | None:
    """The run is Completed, and says why nothing was released: Prefect takes a returned state for the run's own."""
    get_run_logger().info(why)
    return cast(Release, Completed(message=why, data=None))
