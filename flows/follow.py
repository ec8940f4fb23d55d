"""follow = true: an environment is released to as soon as a newer candidate may go there."""

from collections.abc import Mapping, Sequence

from prefect import get_run_logger

from tandem.records import State
from tandem.settings import Settings
from tandem.targets import choose, permission
from tandem.triggers import runs
from tandem.triggers.api import connect
from tandem.triggers.hints import DEPLOYMENT
from tandem.triggers.runs import Run

from . import attempts, stages
from .stock import Stock


def follow(
    settings: Settings, environment: str, states: Mapping[str, State], stock: Stock, living: Sequence[Run]
) -> None:
    """Start the release of the candidate that the rules choose, unless it waits or somebody is releasing there now."""
    wish, state = settings.environment(environment), states[environment]
    if not wish.follow or state.under_way:
        return
    if wish.after is not None and wish.after not in states:
        return  # it could not be asked: its trouble is told already
    find = stock.finder(settings.app, states[wish.after] if wish.after else None)
    candidate = choose.choose(stock.commits, stock.models, stock.recipe, state, find).candidate
    if candidate is None:
        return
    log, now = get_run_logger(), stages.now()
    if why := permission.waits(wish, state, candidate, now):
        log.info("%s: %s", settings.app, why)
        return
    wanted = f"{settings.app}: {candidate.tag} is wanted in {environment}"
    here = {"app": settings.app, "environment": environment}
    others = (run for run in living if run.flow in ("release", "rollback"))
    if busy := [run.name for run in others if here.items() <= run.parameters.items()]:
        log.info("%s, where %s is under way", wanted, ", ".join(busy))
        return
    parameters = {**here, "unattended": True}  # it chooses again: something newer may have come in meanwhile
    key = f"follow/{settings.app}:{environment}:{candidate.digest}"
    standing = attempts.once(f"release/{settings.app}-{environment}", parameters, key, now, _final)
    log.info("%s: %s", wanted, standing.says)


def hint(settings: Settings, after: str | None = None) -> None:
    """Have this app looked at now and not within the minute, where an environment follows what just became true.

    That is a new candidate, or, with `after`, one that was verified in that environment. Never fails a run.
    """
    if not any(wish.follow and wish.after == after for wish in settings.toml.environments.values()):
        return
    try:
        runs.start(DEPLOYMENT, {"app": settings.app}, api=connect(patience=3))
    except Exception as trouble:  # reconcile comes every minute anyway
        get_run_logger().info("%s is looked at in the next minute, not at once: %s", settings.app, trouble)


def _final(run: Run) -> str:
    return "somebody cancelled its release; 'tandem release' brings it in" if attempts.cancelled(run) else ""
