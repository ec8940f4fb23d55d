"""reconcile: level-triggered, every minute: start what is missing, end what was left half done."""

from datetime import timedelta

from prefect import flow, get_run_logger

from tandem.errors import (
    BuildFailed,
    Busy,
    ImageFailed,
    ModelRefused,
    SuiteFailed,
    TandemError,
)
from tandem.records import Pair, State
from tandem.settings import Settings, apps, find_root
from tandem.targets import choose
from tandem.triggers import runs

from . import backends, ingredients, stages
from .lock import environment_lock
from .stages import stage

ATTEMPTS, PATIENT = 50, 3  # at a pair whose integrate is killed or unlucky each time; from when its halves are tried
GUILTY = (SuiteFailed, ImageFailed, BuildFailed, ModelRefused)


@stage("end half releases", network=True)
def end_half_releases(settings: Settings) -> tuple[dict[str, State], list[str]]:
    """Each environment's state, after what a killed run left under way was ended; and what could not be ended."""
    states, troubles = {}, []
    for environment in settings.toml.environments:
        try:
            target = backends.target(settings, environment)
            states[environment] = target.state().value
            if states[environment].under_way:
                with environment_lock(settings, environment, wait=10):
                    states[environment] = stages.end_half_release(settings, environment, target).value
        except Busy:
            get_run_logger().info("%s in %s is under way in a living run", settings.app, environment)
        except Exception as trouble:  # one environment's trouble never stops another's
            troubles.append(f"{settings.app} in {environment}: {trouble}")
    return states, troubles


@stage("look for a living integrate", network=True)
def is_integrating(settings: Settings) -> bool:
    """Whether a run, whoever started it, is making a candidate of this app now: then there is nothing to start yet."""
    living = [run.name for run in runs.under_way("integrate", {"app": settings.app})]
    if living:
        get_run_logger().info("%s: integrate is under way: %s", settings.app, ", ".join(living))
    return bool(living)


@stage("find what is missing", network=True)
def missing_pairs(settings: Settings, states: dict[str, State]) -> list[list[Pair]]:
    """For each wanted pair without a candidate: it, and what to put together where it does not come through."""
    if not states:
        return []
    commits, models = ingredients.commits(settings), ingredients.models(settings, states.values())
    recipe, tags = ingredients.recipe(settings), set(backends.registry(settings).tags())
    ladders: dict[Pair, list[Pair]] = {}
    for state in states.values():
        pair = choose.wanted(commits, models, recipe, state)
        if pair and pair.tag not in tags:
            halves = [half for half in choose.halves(pair, commits, models, state) if half.tag not in tags]
            ladders.setdefault(pair, [pair]).extend(halves)
    return [list(dict.fromkeys(ladder)) for ladder in ladders.values()]


@stage("start integrate", network=True)
def start_integrate(settings: Settings, ladder: list[Pair]) -> None:
    """Start the integrate of a wanted pair; where it does not come through, of its halves.

    A pair that its own tests stopped is for a person to ask for again; what was killed, or failed by something
    around it, is tried again, ever more slowly.
    """
    log, (wanted, *halves) = get_run_logger(), ladder
    said, stuck = _integrate(settings, wanted)
    log.info("%s has no candidate: %s", wanted.tag, said)
    for half in halves if stuck else ():
        log.info("instead %s: %s", half.tag, _integrate(settings, half)[0])


def _integrate(settings: Settings, pair: Pair) -> tuple[str, bool]:
    """What is done about the pair, and whether it is stuck: the same run however often this is asked."""
    parameters = {"app": settings.app, "commit": pair.commit, "model": pair.model}
    for attempt in range(1, ATTEMPTS + 1):
        key = f"integrate/{settings.app}:{pair.commit}:{pair.model}:{pair.recipe}:{attempt}"
        run = runs.read(runs.start(f"integrate/{settings.app}", parameters, key))
        if run is None or not run.over:
            return f"integrate is run {run.id if run else 'unknown'}", attempt > PATIENT
        if run.state == "FAILED" and any(f" {fault.__name__}: " in run.message for fault in GUILTY):
            return f"it did not come through ({run.message}); 'tandem integrate' tries it again", True
        again = (run.ended or stages.now()) + timedelta(seconds=min(15 * 2**attempt, 3600))
        if stages.now() < again:  # one that is completed, too: its tag may be younger than the list of tags
            return f"run {run.id} ended {run.state}, the next begins after {again:%H:%M:%S}", attempt >= PATIENT
    return f"it ended badly {ATTEMPTS} times; 'tandem integrate' tries it again", True


@flow(flow_run_name="reconcile {app}", description="Start what is missing, end what was left half done.")
def reconcile(app: str = "") -> None:
    """Bring every app one step nearer to what it should be; one app's trouble never stops another's.

    Args:
        app: One app folder's name, or nothing for all of them.
    """
    root = find_root()
    troubles = []
    for name in [app] if app else apps(root):
        try:
            settings = Settings.load(name, root)
            states, half = end_half_releases(settings)
            troubles += half
            if not is_integrating(settings):
                for ladder in missing_pairs(settings, states):
                    start_integrate(settings, ladder)
        except Exception as trouble:  # one app's trouble never stops another's
            get_run_logger().error("%s: %s", name, trouble, exc_info=not isinstance(trouble, TandemError))
            troubles.append(f"{name}: {trouble}")
    if troubles:
        raise TandemError("; ".join(troubles))
