"""A year of nights on a clock that is passed in: what Tandem does against what docs/decisions.md says it must."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from prefect.server.schemas.schedules import CronSchedule

from tandem.flows.late import newest_due
from tandem.settings import EnvironmentSettings
from tandem.triggers.runs import Run
from tests.rules.oracle import Mark, Oracle, Place
from tests.rules.tandem_itself import Tandem
from tests.rules.world import FIRST, World, events

WISHES = {
    "staging": {"follow": True, "freeze": ["2026-08-03..2026-08-05"], "timezone": "Europe/Berlin"},
    "production": {
        "after": "staging",
        "approval": True,
        "approval_expires": "1d",
        "freeze": ["2026-12-24..2027-01-02", "2026-03-27..2026-03-29", "Fri 15:00..Mon 06:00"],
        "timezone": "Europe/Berlin",
    },
    "demo": {"after": "staging"},
}


def places() -> dict[str, Place]:
    staging = Place("staging", follows=True, frozen_days=(("2026-08-03", "2026-08-05"),))
    days = ("2026-12-24", "2027-01-02"), ("2026-03-27", "2026-03-29")
    week = 4 * 24 + 15, 6
    held = timedelta(days=1)
    production = Place("production", after="staging", asks=True, holds=held, frozen_days=days, frozen_week=week)
    return {"staging": staging, "production": production, "demo": Place("demo", after="staging")}


async def nights() -> Sequence[datetime]:
    """365 nights and a few, as Prefect's scheduler reckons them."""
    schedule = CronSchedule(cron="30 2 * * *", timezone="Europe/Berlin")
    return await schedule.get_dates(n=366, start=FIRST)


def timeline(dice: random.Random, due: Sequence[datetime]) -> list[tuple[datetime, str]]:
    """Everything that happens, in order; nights while nobody schedules come late, in any order."""
    happens = sorted(events(dice))
    away, waiting, found, queue = 0, list[datetime](), list[tuple[datetime, str]](), list(due)
    for when, what in [*happens, (due[-1] + timedelta(days=40), "there again")]:
        while queue and queue[0] <= when:
            night = queue.pop(0)
            if away:
                waiting.append(night)
            else:
                found.append((night, f"night {night.isoformat()}"))
        if what == "away":
            away += 1
        elif what == "there again":
            away = max(away - 1, 0)
            if not away:
                late, waiting = waiting, []
                found += (
                    [(when, f"night {' '.join(n.isoformat() for n in dice.sample(late, len(late)))}")] if late else []
                )
        else:
            found.append((when, what))
    return found


class Year:
    """Tandem and the oracle, side by side through the same year."""

    def __init__(self, seed: int) -> None:
        self.dice, self.world = random.Random(seed), World(random.Random(seed + 1000))
        wishes = {name: EnvironmentSettings.model_validate({"target": "process:", **w}) for name, w in WISHES.items()}
        self.tandem, self.oracle = Tandem(self.world, wishes), Oracle(self.world, places())
        self.seen: Counter[str] = Counter()

    def comes(self, kind: str) -> None:
        name = self.world.new(kind)
        for one in (self.tandem, self.oracle):
            (one.commits if kind == "c" else one.models).insert(0, name)

    def agree(self, now: datetime, what: str, tandem: Sequence[str], oracle: Sequence[str]) -> None:
        assert list(tandem) == list(oracle), f"{now} {what}"
        self.seen.update(f"{what.split()[0]} {said.rpartition(' ')[2]}" for said in tandem)
        for name in WISHES:
            assert self.tandem.stands(name) == self.oracle.stands(name), f"{now} {what}: {name}"

    def night(self, now: datetime, due: Sequence[str]) -> None:
        """The runs of these nights, all due: one of them does something."""
        known = [
            Run(each, each, "SCHEDULED", "", {}, "d", due=datetime.fromisoformat(each), scheduled=True) for each in due
        ]
        for name in ("production", "demo"):
            did = [self.tandem.release(name, now) for run in known if newest_due(known, now) == run]
            self.agree(now, "late night" if len(due) > 1 else "night", did, [self.oracle.release(name, now)])

    def happens(self, now: datetime, what: str) -> None:
        word, *rest = what.split()
        if word in ("commit", "model"):
            self.comes(word[0])
        elif word == "night":
            self.night(now, rest)
        elif word == "answer":
            self.agree(now, what, [self.tandem.approve("production", now)], [self.oracle.approve("production", now)])
        elif word == "back":
            self.agree(now, what, [self.tandem.back(rest[0], now)], [self.oracle.back(rest[0])])
        elif word == "block":
            name, kind = self.dice.choice(list(WISHES)), self.dice.choice("cmb")
            commit = self.dice.choice(self.tandem.commits[:3] or ["c001"]) if kind in "cb" else None
            model = self.dice.choice(self.tandem.models[:3] or ["m001"]) if kind in "mb" else None
            self.tandem.block(name, commit, model, now)
            self.oracle.places[name].mark(Mark(commit or "", model or "", "ann"))
        elif word == "unblock":
            name, number = self.dice.choice(list(WISHES)), self.dice.randrange(3)
            self.tandem.unblock(name, number)
            self.oracle.unblock(name, number)
        self.agree(now, "reconcile", list(self.tandem.reconcile(now)), list(self.oracle.reconcile(now)))


@pytest.mark.parametrize("seed", range(4))
def test_every_night_of_a_year_is_as_the_rule_says(seed: int) -> None:
    year = Year(seed)
    due = asyncio.run(nights())
    story = timeline(year.dice, due)
    for now, what in story:
        year.happens(now, what)
    assert sum(len(what.split()) - 1 for _, what in story if what.startswith("night")) == len(due) == 366
    met = " ".join(year.seen)
    for kind in (
        "night good",
        "night nothing",
        "night frozen",
        "reconcile good",
        "reconcile bad",
        "answer good",
    ):
        assert kind in met, f"the year was too dull: {kind} never happened"
