"""reconcile: level-triggered, every minute: start what is missing, end what was left half done."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path

from prefect import flow, get_run_logger

from tandem.errors import Busy, TandemError
from tandem.records import State
from tandem.settings import Settings, apps, find_root
from tandem.triggers import runs
from tandem.triggers.runs import Run

from . import backends, rounds, stages
from .follow import follow
from .lock import environment_lock
from .missing import cancel_superseded, missing_pairs, start_integrate
from .stock import Fetched, stock
from .zombies import living

AT_ONCE = 8  # apps: they wait for git hosts, stores and registries, and one that hangs must not keep the others waiting


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


def bring_nearer(root: Path, name: str, alive: Sequence[Run], waiting: Sequence[Run], fetched: Fetched) -> list[str]:
    """Bring one app a step nearer to what it should be; what stood in the way, one sentence each."""
    settings = Settings.load(name, root)
    states, troubles = end_half_releases(settings)
    rounds.catch_up(settings, states)
    if not states:
        return troubles
    there = stock(settings, states.values(), fetched)
    for environment in states:
        try:
            follow(settings, environment, states, there, alive)
        except Exception as trouble:  # one environment's trouble never stops another's
            troubles.append(f"{name} in {environment}: {trouble}")
    ladders = missing_pairs(there, states)
    integrating = [run.name for run in alive if run.flow == "integrate" and run.parameters.get("app") == name]
    if integrating:
        get_run_logger().info("%s: integrate is under way: %s", name, ", ".join(integrating))
        pairs = [pair for ladder in ladders for pair in ladder]
    else:
        pairs = [pair for ladder in ladders for pair in start_integrate(settings, ladder)]
    cancel_superseded(settings, pairs, [run for run in waiting if run.parameters.get("app") == name])
    return troubles


@flow(flow_run_name="reconcile {app}", description="Start what is missing, end what was left half done.")
def reconcile(app: str = "") -> None:
    """Bring every app one step nearer to what it should be; one app's trouble never stops another's.

    Args:
        app: One app folder's name, or nothing for all of them.
    """
    root, fetched = find_root(), Fetched()
    alive, waiting = living(stages.now()), runs.in_states("integrate", ["SCHEDULED"])
    # Not tasks: with nothing to do, which is nearly always, each would be one more row a minute in Prefect's database.
    with ThreadPoolExecutor(AT_ONCE, "reconcile") as pool:
        nearer = {
            name: pool.submit(copy_context().run, bring_nearer, root, name, alive, waiting, fetched)
            for name in ([app] if app else apps(root))
        }
    troubles = {name: _troubles(name, future) for name, future in nearer.items()}
    rounds.troubles(root, troubles)
    if any(troubles.values()):
        raise TandemError("\n".join(sentence for said in troubles.values() for sentence in said))


def _troubles(name: str, nearer: Future[list[str]]) -> list[str]:
    """What stood in one app's way, each with its name before it."""
    if trouble := nearer.exception():
        return [f"{name}: {'; '.join(str(trouble).splitlines())}"]
    return nearer.result()
