"""reconcile: level-triggered, every minute: start what is missing, end what was left half done."""

from prefect import flow, get_run_logger

from tandem.errors import Refused, TandemError
from tandem.records import Pair, State
from tandem.settings import Settings, apps, find_root
from tandem.targets.choose import wanted
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
def missing_pairs(settings: Settings, states: dict[str, State]) -> list[Pair]:
    """The wanted pairs of the app's environments that have no candidate yet."""
    repository_commits = ingredients.commits(settings)
    models = ingredients.models(settings, states.values())
    recipe, tags = ingredients.recipe(settings), set(backends.registry(settings).tags())
    pairs = [wanted(repository_commits, models, recipe, state) for state in states.values()]
    return [pair for pair in dict.fromkeys(pairs) if pair and pair.tag not in tags]


@stage("start integrate", network=True)
def start_integrate(settings: Settings, pair: Pair) -> None:
    """Start the integrate of a pair, once: a second try at the same pair is for a person to ask."""
    parameters = {"app": settings.app, "commit": pair.commit, "model": pair.model}
    key = f"integrate/{settings.app}:{pair.commit}:{pair.model}:{pair.recipe}"
    run = runs.start(f"integrate/{settings.app}", parameters, key)
    get_run_logger().info("%s has no candidate: integrate is run %s", pair.tag, run)


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
            for pair in missing_pairs(settings, end_half_releases(settings)):
                start_integrate(settings, pair)
        except TandemError as trouble:
            get_run_logger().error("%s: %s", name, trouble)
            troubles.append(f"{name}: {trouble}")
    if troubles:
        raise TandemError("; ".join(troubles))
