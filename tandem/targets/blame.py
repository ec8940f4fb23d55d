"""Blame before block: what must not come again after a release failed, and what a block covers.

The rule: if only the model changed since the last good release, the model is blocked; only the commit (or its
recipe), that commit with that recipe; both, or nothing was good before, the pair. A pair's block is provisional:
the new commit with the last good model is tried next, and its outcome takes the block's place.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from tandem.records import Block, Pair


def covers(block: Block, pair: Pair) -> bool:
    """Whether this block keeps this pair out."""
    return (
        (block.commit is None or block.commit == pair.commit)
        and (block.model is None or block.model == pair.model)
        and (block.recipe is None or block.recipe == pair.recipe)
    )


def is_pair(block: Block) -> bool:
    """Whether it blocks a pair: the parts of it may still ride with others."""
    return block.commit is not None and block.model is not None


def describe(block: Block) -> str:
    """The block in a person's words: what, since when, by whom or which release, and why."""
    parts = [f"commit {block.commit[:12]}"] if block.commit else []
    parts += [f"model {block.model[:12]}"] if block.model else []
    source = f"release {block.release}" if block.release else f"{block.by or 'somebody'} by hand"
    return f"{' with '.join(parts)} blocked since {block.since:%Y-%m-%d %H:%M} UTC by {source}: {block.why}"


def blame(failed: Pair, good: Pair | None, why: str, since: datetime, release: str, by: str = "") -> Block | None:
    """The block that a candidate's failure earns, given the pair that was good before it (None: there was none).

    None where the very pair that was good has failed: then something around it changed.
    """
    if failed == good:
        return None
    code_changed = good is None or (failed.commit, failed.recipe) != (good.commit, good.recipe)
    model_changed = good is None or failed.model != good.model
    block = Block(why=why, since=since, release=release, by=by)
    if code_changed:
        block = replace(block, commit=failed.commit, recipe=failed.recipe)
    if model_changed:
        block = replace(block, model=failed.model)
    return block


def settle(blocks: Iterable[Block], good: Pair) -> tuple[Block, ...]:
    """The blocks after `good` was released: a pair with the same code and another model was the model's fault."""

    def settled(block: Block) -> Block:
        same_code = block.commit == good.commit and block.recipe in (None, good.recipe)
        if not (is_pair(block) and block.release and same_code and block.model != good.model):
            return block
        why = f"{block.why} (the same commit is good with model {good.model[:12]})"
        return replace(block, commit=None, recipe=None, why=why)

    return _without_doubles(settled(block) for block in blocks)


def add(blocks: Iterable[Block], new: Block | None) -> tuple[Block, ...]:
    """The blocks with `new`, which takes the place of the provisional pairs that it explains."""
    if new is None:
        return tuple(blocks)
    kept = [block for block in blocks if not (is_pair(block) and block.release and _explains(new, block))]
    return _without_doubles([*kept, new])


def _explains(new: Block, pair: Block) -> bool:
    """Whether a commit or a model that is now blocked by itself is half of this pair's block."""
    if is_pair(new):
        return False
    if new.commit is not None:
        return new.commit == pair.commit and new.recipe in (None, pair.recipe)
    return new.model == pair.model


def _without_doubles(blocks: Iterable[Block]) -> tuple[Block, ...]:
    """One block for one thing: the first that said so."""
    first: dict[tuple[str | None, str | None, str | None], Block] = {}
    for block in blocks:
        first.setdefault((block.commit, block.model, block.recipe), block)
    return tuple(first.values())
