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

    A second try at the same pair is for a person to ask.
    """
    log, (wanted, *halves) = get_run_logger(), ladder
    run = _integrate(settings, wanted)
    if run is None or run.state not in ("FAILED", "CRASHED"):
        log.info("%s has no candidate: integrate is run %s", wanted.tag, run.id if run else "unknown")
        return
    log.warning(
        "%s did not come through (run %s: %s); to try it again: tandem integrate", wanted.tag, run.id, run.message
    )
    for half in halves:
        run = _integrate(settings, half)
        log.info("instead %s: integrate is run %s", half.tag, run.id if run else "unknown")


def _integrate(settings: Settings, pair: Pair) -> runs.Run | None:
    parameters = {"app": settings.app, "commit": pair.commit, "model": pair.model}
    key = f"integrate/{settings.app}:{pair.commit}:{pair.model}:{pair.recipe}"
    return runs.read(runs.start(f"integrate/{settings.app}", parameters, key))


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
            for ladder in missing_pairs(settings, end_half_releases(settings)):
                start_integrate(settings, ladder)
        except TandemError as trouble:
            get_run_logger().error("%s: %s", name, trouble)
            troubles.append(f"{name}: {trouble}")
    if troubles:
        raise TandemError("; ".join(troubles))
