"""Which pair belongs into an environment. Newest is decided by history, never by a clock.

Commits in the first-parent order of the app's branch, models in publish order, both newest first.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tandem.records import Block, Candidate, Pair, State
from tandem.targets.blame import covers, describe, is_pair


@dataclass(frozen=True)
class Choice:
    """What to release, or None with the reason that a person reads."""

    candidate: Candidate | None
    why: str


def blocking(state: State, pair: Pair) -> Block | None:
    """The block that keeps this pair out of this environment, or None."""
    return next((block for block in state.blocks if covers(block, pair)), None)


def wanted(commits: Sequence[str], models: Sequence[str], recipe: str, state: State) -> Pair | None:
    """The environment's wanted pair: its newest unblocked commit × its newest unblocked model; where that pair is
    blocked, that commit × the last good model. None where nothing is left to want."""
    alone = [block for block in state.blocks if not is_pair(block)]
    commit = next(
        (c for c in commits if not any(b.model is None and covers(b, Pair(c, "", recipe)) for b in alone)), None
    )
    free = [m for m in models if not any(b.commit is None and covers(b, Pair("", m, recipe)) for b in alone)]
    if commit is None or not free:
        return None
    last_good = [m for m in free if state.current is not None and m == state.current.candidate.pair.model]
    pairs = [Pair(commit, model, recipe) for model in (free[0], *last_good)]
    return next((pair for pair in pairs if blocking(state, pair) is None), None)


def halves(pair: Pair, commits: Sequence[str], models: Sequence[str], state: State) -> list[Pair]:
    """What to put together where this pair does not come through its tests: its commit with the model before, and
    the commit before with its model; so that a model that breaks the tests never stops a code fix, nor the reverse.

    "Before" is what runs, or, where nothing runs or that is the same, the next older one.
    """
    runs = state.current.candidate.pair if state.current else None
    model = _before(pair.model, models, runs.model if runs else None)
    commit = _before(pair.commit, commits, runs.commit if runs else None)
    found = [Pair(pair.commit, model, pair.recipe)] if model else []
    found += [Pair(commit, pair.model, pair.recipe)] if commit else []
    return [half for half in found if half != runs and blocking(state, half) is None]


def _before(mine: str, all_of_them: Sequence[str], running: str | None) -> str | None:
    if running not in (None, mine):
        return running
    older = all_of_them[all_of_them.index(mine) + 1 :] if mine in all_of_them else ()
    return next(iter(older), None) if running is None else None


def choose(
    commits: Sequence[str],
    models: Sequence[str],
    recipe: str,
    state: State,
    find: Callable[[Pair], Candidate | None],
) -> Choice:
    """The wanted pair where it has a candidate, else the newest unblocked pair, newer than what runs, that has one.

    `find` gives the candidate of a pair, or None where there is none or it may not come here.
    """
    runs = state.current.candidate.pair if state.current else None
    want = wanted(commits, models, recipe, state)
    if want is not None and want == runs:
        return Choice(
            None, f"nothing to release: {state.environment} runs {want.tag}, the newest unblocked pair{_aside(state)}"
        )
    if want is not None and (candidate := find(want)):
        return Choice(candidate, f"{want.tag} is the wanted pair of {state.environment}{_aside(state)}")
    for pair in _newer(commits, models, recipe, runs):
        if blocking(state, pair) is None and (candidate := find(pair)):
            return Choice(candidate, f"{pair.tag} is the newest unblocked pair that has a candidate{_aside(state)}")
    if want is None:
        why = f"every pair is blocked{_aside(state)}"
        if not models:
            why = f"no model may ride yet: 'tandem publish {state.app} DIRECTORY' stores one"
        if not commits:
            why = "no commit touches source.paths yet"
        return Choice(None, f"nothing to release: {why}")
    return Choice(
        None, f"nothing to release: {want.tag} is wanted and has no candidate that may come here{_aside(state)}"
    )


def _newer(commits: Sequence[str], models: Sequence[str], recipe: str, runs: Pair | None) -> list[Pair]:
    """Every pair at least as new as what runs in both its parts, newest code first, what runs left out.

    A part that is not in the history any more (a rewritten branch, a deleted model) is older than all that is.
    """
    code = commits[: commits.index(runs.commit) + 1] if runs and runs.commit in commits else commits
    fresh = models[: models.index(runs.model) + 1] if runs and runs.model in models else models
    return [pair for c in code for m in fresh if (pair := Pair(c, m, recipe)) != runs]


def _aside(state: State) -> str:
    """The blocks, as a person would add them."""
    return "".join(f"; {describe(block)}" for block in state.blocks)
