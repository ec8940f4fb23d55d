"""Tandem's own rules, put together as its flows put them, without Prefect, a registry or a machine."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from tandem.flows.missing import missing_pairs
from tandem.flows.rollback import previous
from tandem.flows.stock import Stock
from tandem.records import Approval, Block, Descriptor, Pair, Question, Release, Snapshot, State
from tandem.settings import EnvironmentSettings
from tandem.targets import choose, permission, transitions
from tests.rules.world import Pairing, World

RECIPE = "r" * 64


@dataclass
class Shelf:
    """A registry that only knows which tags there are."""

    tags: dict[str, str] = field(default_factory=dict)

    def resolve(self, tag: str) -> Descriptor | None:
        return Descriptor("", self.tags[tag], 0) if tag in self.tags else None


@dataclass
class Tandem:
    """The environments of one app. What it does is given back in words that the oracle uses too."""

    world: World
    wishes: Mapping[str, EnvironmentSettings]
    commits: list[str] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    shelf: Shelf = field(default_factory=Shelf)
    states: dict[str, State] = field(default_factory=dict)
    attempts: dict[tuple[str, Pairing], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.states = {name: State("digits", name) for name in self.wishes}

    def stock(self) -> Stock:
        return Stock(tuple(self.commits), tuple(self.models), RECIPE, self.shelf, frozenset(self.shelf.tags))

    def reconcile(self, now: datetime) -> Iterator[str]:
        for name, state in self.states.items():
            if state.under_way:
                yield self._end(name, now)
        for ladder in missing_pairs(self.stock(), self.states):
            for pair in ladder[:1] if self.world.passes(_pairing(ladder[0])) else ladder:
                if self.world.passes(_pairing(pair)) and pair.tag not in self.shelf.tags:
                    self.shelf.tags[pair.tag] = f"sha256:{pair.tag}"
                    yield f"built {pair.commit} {pair.model}"
        for name, wish in self.wishes.items():
            chosen = self._choose(name).candidate
            if wish.follow and chosen and not permission.waits(wish, self.states[name], chosen, now):
                yield self.release(name, now)

    def _choose(self, name: str) -> choose.Choice:
        after, stock = self.wishes[name].after, self.stock()
        find = stock.finder("digits", self.states[after] if after else None)
        return choose.choose(stock.commits, stock.models, RECIPE, self.states[name], find)

    def release(self, name: str, now: datetime) -> str:
        """As flows/release.py goes, for a run that nobody asked for by hand."""
        wish = self.wishes[name]
        if self.states[name].under_way:
            self._end(name, now)
        state, chosen = self.states[name], self._choose(name).candidate
        if chosen is None:
            return f"{name}: nothing"
        what = f"{chosen.pair.commit} {chosen.pair.model}"
        if permission.freeze(wish, now):
            return f"{name}: frozen"
        if not permission.is_approved(wish, state, chosen, now):
            if permission.is_asked(state, chosen):
                return f"{name}: {what} was asked"
            self.states[name] = transitions.asked(state, Question(chosen, now))
            return f"{name}: {what} asks"
        release = Release(f"{name}-{now:%m%d%H%M}-{len(state.history)}", chosen, now)
        state = transitions.begun(state, release, Snapshot())
        count = self.attempts[name, _pairing(chosen.pair)] = self.attempts.get((name, _pairing(chosen.pair)), 0) + 1
        outcome = self.world.tried(name, _pairing(chosen.pair), count)
        if outcome == "good":
            state = transitions.verified(transitions.at(state, "verify"), now)
        elif outcome != "killed":
            fault = "candidate" if outcome == "bad" else "environment"
            state = transitions.rolled_back(transitions.at(state, "roll back", "it crashed", fault), now)
        self.states[name] = state
        return f"{name}: {what} {outcome}"

    def _end(self, name: str, now: datetime) -> str:
        """What a killed run left: it never came up here, and that is nobody's fault."""
        state = transitions.at(self.states[name], "roll back", "killed", "environment")
        self.states[name] = transitions.rolled_back(state, now)
        return f"{name}: ended back"

    def approve(self, name: str, now: datetime) -> str:
        """Somebody answers the question that stands, as flows/approve.py goes."""
        state, chosen = self.states[name], self._choose(name).candidate
        if state.asked is None:
            return f"{name}: nothing was asked"
        wanted = state.asked.candidate
        if choose.blocking(state, wanted.pair) or chosen != wanted:
            return f"{name}: refused"
        self.states[name] = transitions.approved(state, Approval(wanted.digest, "ann", False, now))
        return self.release(name, now)

    def back(self, name: str, now: datetime) -> str:
        state = self.states[name]
        try:
            to = previous(None, name, state, "previous")  # type: ignore[arg-type]
        except Exception as refused:
            return f"{name}: nothing to go back to" if "nothing to go back" in str(refused) else repr(refused)
        state = transitions.begun(state, Release(f"{name}-back-{now:%m%d%H%M}", to, now), Snapshot(), back="worse")
        self.states[name] = transitions.verified(state, now)
        return f"{name}: back to {to.pair.commit} {to.pair.model}"

    def block(self, name: str, commit: str | None, model: str | None, now: datetime) -> None:
        new = Block("smells", now, "", commit=commit, model=model, by="ann")
        self.states[name] = transitions.blocked(self.states[name], new)

    def unblock(self, name: str, number: int) -> None:
        blocks = sorted(self.states[name].blocks, key=_order)
        self.states[name] = transitions.unblocked(self.states[name], blocks[number : number + 1])

    def stands(self, name: str) -> tuple[Pairing | None, list[tuple[str, str]]]:
        """What runs, and what is blocked."""
        state = self.states[name]
        runs = _pairing(state.current.candidate.pair) if state.current else None
        return runs, sorted((b.commit or "", b.model or "") for b in state.blocks)


def _order(block: Block) -> tuple[str, str, str, str]:
    return block.commit or "", block.model or "", block.by, block.recipe or ""


def _pairing(pair: Pair) -> Pairing:
    return pair.commit, pair.model
