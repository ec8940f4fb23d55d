"""What a year brings: which commits and models come, which are bad and how, when nobody is there. Decided by a seed."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

Pairing = tuple[str, str]  # a commit and a model
Outcome = Literal["good", "bad", "environment", "killed"]
FIRST = datetime(2025, 12, 31, 12, tzinfo=UTC)
HOURS = timedelta(hours=1)


@dataclass
class World:
    """The truth, which neither Tandem nor the oracle may look at but by trying."""

    dice: random.Random
    bad: set[str] = field(default_factory=set)  # commits and models that crash whatever they come with
    broken: set[str] = field(default_factory=set)  # those that do not pass the tests
    clashes: set[Pairing] = field(default_factory=set)  # bad together only
    unlucky: dict[tuple[str, Pairing, int], Outcome] = field(default_factory=dict)
    born: dict[str, int] = field(default_factory=lambda: {"c": 0, "m": 0})

    def new(self, kind: str) -> str:
        """The next commit ("c") or model ("m")."""
        self.born[kind] += 1
        name = f"{kind}{self.born[kind]:03}"
        fate = self.dice.random()
        if self.born[kind] > 1:
            (self.bad if fate < 0.2 else self.broken if fate < 0.3 else set[str]()).add(name)
        return name

    def passes(self, pair: Pairing) -> bool:
        """Whether the pair's tests pass."""
        return not self.broken & set(pair)

    def tried(self, environment: str, pair: Pairing, attempt: int) -> Outcome:
        """What comes of a release; the same however often this very attempt is asked about."""
        if (environment, pair, attempt) not in self.unlucky:
            fate = self.dice.random()
            luck: Outcome = "environment" if fate < 0.06 else "killed" if fate < 0.1 else "good"
            if luck == "good" and pair not in self.clashes and self.dice.random() < 0.03:
                self.clashes.add(pair)
            self.unlucky[environment, pair, attempt] = luck
        luck = self.unlucky[environment, pair, attempt]
        wrong = bool(self.bad & set(pair)) or pair in self.clashes
        return "bad" if wrong and luck == "good" else luck


def events(dice: random.Random, days: int = 366) -> Iterator[tuple[datetime, str]]:
    """(when, what), unsorted: what people do, and from when to when the scheduler is away."""
    for day in range(days):
        noon = FIRST + timedelta(days=day)
        busy = day // 7 % 3 > 0  # in a quiet week nothing supersedes what waits for its approval
        moments = ["commit"] * (busy and dice.random() < 0.5) + ["commit"] * (busy and dice.random() < 0.2)
        moments += ["model"] * (busy and dice.random() < 0.35) + ["tick"] * 2 + ["answer"] * (dice.random() < 0.4)
        moments += (
            ["back demo"] * (dice.random() < 0.02)
            + ["back staging"] * (dice.random() < 0.02)
            + ["back production"] * (dice.random() < 0.03)
        )
        moments += ["block"] * (dice.random() < 0.03) + ["unblock"] * (dice.random() < 0.03)
        for what in moments:
            yield noon + timedelta(minutes=dice.randrange(1440)), what
        if dice.random() < 0.03:
            away = noon + timedelta(hours=dice.randrange(24))
            yield away, "away"
            yield away + timedelta(hours=dice.choice([2, 9, 30, 80, 140])), "there again"
