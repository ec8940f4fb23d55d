"""rollback: a person takes a release back, and what was taken back does not return by itself."""

from prefect import flow, get_run_logger, runtime

from tandem.errors import Refused, ReleaseFailed, StateChanged
from tandem.records import Candidate, Release, State
from tandem.settings import Settings
from tandem.targets import transitions
from tandem.targets.advance import advance
from tandem.targets.blame import describe
from tandem.targets.choose import blocking

from . import backends, cards, ingredients, stages, telling
from .backends import AppName, EnvironmentName
from .lock import environment_lock


def previous(settings: Settings, environment: str, state: State, to: str) -> Candidate:
    """What to go back to: what was good here before the current one, or what somebody names of that."""
    current = state.current.candidate.digest if state.current else None
    good = [
        r.candidate
        for r in state.history
        if r.outcome == "released" and r.candidate.digest != current and blocking(state, r.candidate.pair) is None
    ]
    if to != "previous":
        named = ingredients.named_candidate(settings, backends.registry(settings), to)
        if named.digest not in state.verified:
            raise Refused(
                f"{named.tag} was never good in {environment}: 'tandem release' brings it in, and verifies it"
            )
        if block := blocking(state, named.pair):
            raise Refused(f"{named.tag} is blocked in {environment}: {describe(block)}; 'tandem unblock' lifts it")
        return named
    if not good:
        raise Refused(f"{environment} has nothing to go back to: nothing else was good there and is not blocked")
    return good[0]


@flow(flow_run_name="{app} in {environment} back to {to}", description="Take a release back, by hand.")
def rollback(
    app: AppName, environment: EnvironmentName, to: str = "previous", why: str = "rolled back by hand", by: str = ""
) -> Release:
    """Go back to what was good before, verify it, and block what was gone back from.

    Args:
        app: The app folder's name.
        environment: One of app.toml's environments.
        to: A candidate that was good here before, by tag or digest; "previous" is the one before the current.
        why: What was wrong; the block says it to those who meet it.
        by: Who decides; nothing here verifies it.
    """
    settings = Settings.load(app)
    target = backends.target(settings, environment)
    with environment_lock(settings, environment):
        state = stages.end_half_release(settings, environment, target)
        candidate = previous(settings, environment, state.value, to)
        if state.value.current and state.value.current.candidate.digest == candidate.digest:
            raise Refused(f"{environment} runs {candidate.tag} already")
        cards.name_run(f"{app} in {environment} back to {candidate.tag}")
        image = stages.image_of(settings, candidate)
        state = stages.begin(target, state, candidate, by=by, run=str(runtime.flow_run.id or ""), back=why)
        try:
            stages.roll_out(target, image, state)
            stages.verify(settings, environment, target, candidate.digest)
        except StateChanged:
            raise
        except Exception as error:
            failure = error if isinstance(error, ReleaseFailed) else ReleaseFailed(repr(error), "environment")
            stages.roll_back(settings, environment, target, state, failure)
            raise failure from error
        state = advance(target, state, lambda s: transitions.verified(s, stages.now()))
        stages.finish(target, image)
        telling.released(settings, environment, state.value)
    get_run_logger().info("%s is back on %s", environment, candidate.tag)
    return state.value.history[0]
