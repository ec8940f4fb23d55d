"""docs/decisions.md once more, as plainly as it can be said, and not from the code: what each night must bring."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from tests.rules.world import Pairing, World


@dataclass
class Mark:
    """A block: "" stands for any. `provisional`: a pair that Tandem blocked and whose half is not known yet.

    Who blames a commit blames it with its recipe; who blocks it by hand, with any: those are two blocks.
    """

    commit: str
    model: str
    by: str = ""
    recipe: str = ""

    @property
    def provisional(self) -> bool:
        return bool(self.commit and self.model and not self.by)


@dataclass
class Place:
    """An environment, with its settings in the oracle's own words."""

    name: str
    after: str = ""
    follows: bool = False
    asks: bool = False
    holds: timedelta = timedelta(days=7)
    frozen_days: tuple[tuple[str, str], ...] = ()
    frozen_week: tuple[int, int] | None = None  # hours of the week, by the wall
    zone: str = "Europe/Berlin"
    runs: Pairing | None = None
    was_good: list[Pairing] = field(default_factory=list)  # newest first, going back by hand counts
    marks: list[Mark] = field(default_factory=list)
    approved: dict[Pairing, datetime] = field(default_factory=dict)
    asked: Pairing | None = None
    half: bool = False
    tried: dict[Pairing, int] = field(default_factory=dict)

    def blocked(self, pair: Pairing) -> bool:
        return any(mark.commit in ("", pair[0]) and mark.model in ("", pair[1]) for mark in self.marks)

    def is_frozen(self, now: datetime) -> bool:
        wall = now.astimezone(ZoneInfo(self.zone))
        hour = wall.weekday() * 24 + wall.hour
        week = self.frozen_week
        within = week is not None and (
            week[0] <= hour < week[1] if week[0] < week[1] else hour >= week[0] or hour < week[1]
        )
        return within or any(first <= f"{wall:%Y-%m-%d}" <= last for first, last in self.frozen_days)

    def mark(self, new: Mark) -> None:
        """A commit or a model that is blocked by itself explains its provisional pairs; nothing is blocked twice."""
        if not (new.commit and new.model):
            self.marks = [
                m for m in self.marks if not (m.provisional and (m.commit == new.commit or m.model == new.model))
            ]
        if (new.commit, new.model, new.recipe) not in [(m.commit, m.model, m.recipe) for m in self.marks]:
            self.marks.append(new)

    def came_good(self, pair: Pairing) -> None:
        """It runs; a provisional pair with the same commit was the model's fault."""
        self.runs = pair
        self.was_good.insert(0, pair)
        for guilty in [m for m in self.marks if m.provisional and m.commit == pair[0] and m.model != pair[1]]:
            self.marks.remove(guilty)
            self.mark(Mark("", guilty.model))
        self.approved.pop(pair, None)
        self.asked = None if self.asked == pair else self.asked

    def to_blame(self, bad: Pairing, good: Pairing | None, by: str = "") -> None:
        commit = bad[0] if good is None or good[0] != bad[0] else ""
        model = bad[1] if good is None or good[1] != bad[1] else ""
        if commit or model:
            self.mark(Mark(commit, model, by, "r" if commit else ""))


@dataclass
class Oracle:
    """Says what Tandem must do, in the words that it uses too."""

    world: World
    places: dict[str, Place]
    commits: list[str] = field(default_factory=list)  # newest first
    models: list[str] = field(default_factory=list)
    built: set[Pairing] = field(default_factory=set)

    def wanted(self, place: Place) -> Pairing | None:
        """The newest unblocked commit with the newest unblocked model; blocked together: with the model that runs."""
        alone = {(mark.commit, mark.model) for mark in place.marks if not (mark.commit and mark.model)}
        commits = [c for c in self.commits if (c, "") not in alone]
        models = [m for m in self.models if ("", m) not in alone]
        if not commits or not models:
            return None
        if not place.blocked((commits[0], models[0])):
            return commits[0], models[0]
        if place.runs and place.runs[1] in models and not place.blocked((commits[0], place.runs[1])):
            return commits[0], place.runs[1]
        return None

    def chosen(self, place: Place) -> Pairing | None:
        """The wanted pair where it may come; else the newest that may, neither part of it older than what runs."""
        want = self.wanted(place)
        if want and want == place.runs:
            return None
        if want and self._may_come(place, want):
            return want
        for commit in self.commits:
            for model in self.models:
                pair = commit, model
                newer = not place.runs or (commit >= place.runs[0] and model >= place.runs[1])  # names count upwards
                if newer and pair != place.runs and not place.blocked(pair) and self._may_come(place, pair):
                    return pair
        return None

    def _may_come(self, place: Place, pair: Pairing) -> bool:
        before = self.places.get(place.after)
        return pair in self.built and (before is None or (pair in before.was_good and not before.blocked(pair)))

    def reconcile(self, now: datetime) -> Iterator[str]:
        """Half releases end; each wanted pair is built, or its halves; what follows is released to."""
        for place in self.places.values():
            if place.half:
                place.half = False
                yield f"{place.name}: ended back"
        wishes: dict[Pairing, list[Pairing]] = {}
        for place in self.places.values():
            want = self.wanted(place)
            if want and want not in self.built:
                wishes.setdefault(want, []).extend(self._halves(place, want))
        for want, halves in wishes.items():
            for pair in [want] if self.world.passes(want) else halves:
                if self.world.passes(pair) and pair not in self.built:
                    self.built.add(pair)
                    yield f"built {pair[0]} {pair[1]}"
        for place in self.places.values():
            pair = self.chosen(place)
            waits = pair is not None and place.asked == pair and not self._is_approved(place, pair, now)
            if place.follows and pair and not waits and not place.is_frozen(now):
                yield self.release(place.name, now)

    def _halves(self, place: Place, want: Pairing) -> list[Pairing]:
        """Its commit with the model before, the commit before with its model: before is what runs, else one older."""
        older = place.runs or (self._older(self.commits, want[0]), self._older(self.models, want[1]))
        found = [(want[0], older[1])] if older[1] not in ("", want[1]) else []
        found += [(older[0], want[1])] if older[0] not in ("", want[0]) else []
        return [pair for pair in found if pair != place.runs and not place.blocked(pair)]

    def _older(self, all_of_them: list[str], one: str) -> str:
        return next((each for each in all_of_them if each < one), "")

    def _is_approved(self, place: Place, pair: Pairing, now: datetime) -> bool:
        return not place.asks or (pair in place.approved and now < place.approved[pair] + place.holds)

    def release(self, name: str, now: datetime) -> str:
        place = self.places[name]
        place.half = False  # whoever comes first ends it
        pair = self.chosen(place)
        if pair is None:
            return f"{name}: nothing"
        what = f"{pair[0]} {pair[1]}"
        if place.is_frozen(now):
            return f"{name}: frozen"
        if not self._is_approved(place, pair, now):
            if place.asked == pair:
                return f"{name}: {what} was asked"
            place.asked = pair
            return f"{name}: {what} asks"
        place.tried[pair] = place.tried.get(pair, 0) + 1
        outcome = self.world.tried(name, pair, place.tried[pair])
        if outcome == "good":
            place.came_good(pair)
        elif outcome == "bad":
            place.to_blame(pair, place.runs)
        place.half = outcome == "killed"
        return f"{name}: {what} {outcome}"

    def approve(self, name: str, now: datetime) -> str:
        place = self.places[name]
        if place.asked is None:
            return f"{name}: nothing was asked"
        if self.chosen(place) != place.asked:
            return f"{name}: refused"
        place.approved[place.asked] = now
        place.asked = None
        return self.release(name, now)

    def back(self, name: str) -> str:
        place = self.places[name]
        place.half = False
        to = next((pair for pair in place.was_good if pair != place.runs and not place.blocked(pair)), None)
        if to is None:
            return f"{name}: nothing to go back to"
        bad = place.runs
        place.came_good(to)
        if bad:
            place.to_blame(bad, to, by="ann")
        return f"{name}: back to {to[0]} {to[1]}"

    def unblock(self, name: str, number: int) -> None:
        marks = sorted(self.places[name].marks, key=lambda m: (m.commit, m.model, m.by, m.recipe))
        for mark in marks[number : number + 1]:
            self.places[name].marks.remove(mark)

    def stands(self, name: str) -> tuple[Pairing | None, list[tuple[str, str]]]:
        place = self.places[name]
        return place.runs, sorted((mark.commit, mark.model) for mark in place.marks)
