"""reconcile: level-triggered, every minute: start what is missing, end what was left half done."""

from prefect import flow, get_run_logger

from tandem.errors import Refused, TandemError
from tandem.records import Pair, State
from tandem.settings import Settings, apps, find_root
from tandem.targets import choose
from tandem.triggers import runs

from . import backends, ingredients, stages
from .lock import environment_lock
from .stages import stage

ATTEMPTS = 3  # at a pair whose integrate is killed each time


@stage("end half releases", network=True)
def end_half_releases(settings: Settings) -> dict[str, State]:
    """Each environment's state, after what a killed run left under way was ended."""
    states = {}
    for environment in settings.toml.environments:
        target = backends.target(settings, environment)
        state = target.state().value
        if state.under_way:
            try:
                with environment_lock(settings, environment, wait=1):
                    state = stages.end_half_release(settings, environment, target).value
            except Refused:
                get_run_logger().info("%s in %s is under way in a living run", settings.app, environment)
        states[environment] = state
    return states


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
    """Start the integrate of a wanted pair, once; where that has failed already, of its halves, once.

    A second try at a pair that failed is for a person to ask; what was only killed is started again.
    """
    log, (wanted, *halves) = get_run_logger(), ladder
    run = _integrate(settings, wanted)
    if run is None or run.state != "FAILED":
        log.info("%s has no candidate: integrate is run %s", wanted.tag, run.id if run else "unknown")
        return
    log.warning("%s did not come through: %s; 'tandem integrate' tries it again", wanted.tag, run.message)
    for half in halves:
        run = _integrate(settings, half)
        log.info("instead %s: integrate is run %s", half.tag, run.id if run else "unknown")


def _integrate(settings: Settings, pair: Pair) -> runs.Run | None:
    """The pair's integrate: the same run however often this is asked, the next attempt where it was killed."""
    parameters, run = {"app": settings.app, "commit": pair.commit, "model": pair.model}, None
    for attempt in range(1, ATTEMPTS + 1):
        key = f"integrate/{settings.app}:{pair.commit}:{pair.model}:{pair.recipe}:{attempt}"
        run = runs.read(runs.start(f"integrate/{settings.app}", parameters, key))
        if run is None or run.state not in ("CRASHED", "CANCELLED"):
            break
    return run


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
            states = end_half_releases(settings)
            if not is_integrating(settings):
                for ladder in missing_pairs(settings, states):
                    start_integrate(settings, ladder)
        except TandemError as trouble:
            get_run_logger().error("%s: %s", name, trouble)
            troubles.append(f"{name}: {trouble}")
    if troubles:
        raise TandemError("; ".join(troubles))
