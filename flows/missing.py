"""Candidates that are wanted and not there: their integrate is started, and what it supersedes is cancelled."""

from collections.abc import Mapping, Sequence

from prefect import get_run_logger

from tandem.errors import BuildFailed, ImageFailed, ModelRefused, SuiteFailed
from tandem.records import Pair, State
from tandem.settings import Settings
from tandem.targets import choose
from tandem.triggers import runs
from tandem.triggers.runs import Run

from . import attempts, stages
from .stock import Stock

GUILTY = (SuiteFailed, ImageFailed, BuildFailed, ModelRefused)


def missing_pairs(stock: Stock, states: Mapping[str, State]) -> list[list[Pair]]:
    """For each wanted pair without a candidate: it, and what to put together where it does not come through."""
    commits, models = stock.commits, stock.models
    ladders: dict[Pair, list[Pair]] = {}
    for state in states.values():
        pair = choose.wanted(commits, models, stock.recipe, state)
        if pair and pair.tag not in stock.tags:
            halves = [half for half in choose.halves(pair, commits, models, state) if half.tag not in stock.tags]
            ladders.setdefault(pair, [pair]).extend(halves)
    return [list(dict.fromkeys(ladder)) for ladder in ladders.values()]


def start_integrate(settings: Settings, ladder: Sequence[Pair]) -> list[Pair]:
    """Start the integrate of a wanted pair; where it does not come through, of its halves; which are looked after.

    A pair that its own tests stopped is for a person to ask for again; what was killed, or failed by something
    around it, is tried again, ever more slowly.
    """
    log, (wanted, *halves) = get_run_logger(), ladder
    standing = _integrate(settings, wanted)
    log.info("%s: %s has no candidate: %s", settings.app, wanted.tag, standing.says)
    if not standing.stuck:
        return [wanted]
    for half in halves:
        log.info("%s: instead %s: %s", settings.app, half.tag, _integrate(settings, half).says)
    return [wanted, *halves]


def _integrate(settings: Settings, pair: Pair) -> attempts.Standing:
    parameters = {"app": settings.app, "commit": pair.commit, "model": pair.model}
    return attempts.once(f"integrate/{settings.app}", parameters, _key(settings, pair), stages.now(), _final)


def _key(settings: Settings, pair: Pair) -> str:
    return f"integrate/{settings.app}:{pair.commit}:{pair.model}:{pair.recipe}"


def _final(run: Run) -> str:
    if run.state == "FAILED" and any(f" {fault.__name__}: " in run.message for fault in GUILTY):
        return f"it did not come through ({run.message}); 'tandem integrate' tries it again"
    return "somebody cancelled it; 'tandem integrate' tries it again" if attempts.cancelled(run) else ""


def cancel_superseded(settings: Settings, pairs: Sequence[Pair], waiting: Sequence[Run]) -> None:
    """Cancel the runs of integrate that reconcile asked for, that have not begun, and that are for none of `pairs`."""
    wanted = [_key(settings, pair) for pair in pairs]
    newest = pairs[0].tag if pairs else "what is there already"
    for run in waiting:
        ours, _, _ = run.key.rpartition(":")
        if ours.startswith(f"integrate/{settings.app}:") and ours not in wanted:
            runs.cancel(run.id, f"{attempts.SUPERSEDED}{newest}")
            get_run_logger().info("%s: cancelled %s: %s%s", settings.app, run.name, attempts.SUPERSEDED, newest)
