"""Prefect's own cron across both turnings of the clock: one run a night, whatever hour the schedule names."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from prefect.server.schemas.schedules import CronSchedule

ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]


def due(cron: str, zone: str, year: int) -> Sequence[datetime]:
    """A year's runs, asked for as the scheduler does: a few at a time, from the last one on."""
    found, start, end = list[datetime](), datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
    while start < end:
        few = asyncio.run(CronSchedule(cron=cron, timezone=zone).get_dates(n=30, start=start))
        found += [moment for moment in few if moment < end]
        start = few[-1] + timedelta(seconds=1)
    return found


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("cron", ["0 2 * * *", "30 2 * * *", "0 3 * * *", "59 1 * * *", "0 0 * * *"])
def test_every_night_of_a_year_has_one_run(cron: str, zone: str) -> None:
    moments = due(cron, zone, 2026)
    assert moments == sorted(set(moments))
    days = Counter(moment.astimezone(ZoneInfo(zone)).date() for moment in moments)
    assert len(days) == 365 and set(days.values()) == {1}, [day for day, n in days.items() if n > 1]
    apart = [later - earlier for earlier, later in itertools.pairwise(moments)]
    assert min(apart) >= timedelta(hours=22) and max(apart) <= timedelta(hours=26)


@pytest.mark.parametrize(
    ("cron", "day", "at"),
    [
        ("0 2 * * *", "2026-03-29", "01:00 CET"),  # there is no 02:00 that night: an hour early
        ("30 2 * * *", "2026-03-29", "01:30 CET"),
        ("0 2 * * *", "2026-10-25", "02:00 CEST"),  # there are two: the first
        ("30 2 * * *", "2026-10-25", "02:30 CEST"),
        ("0 3 * * *", "2026-03-29", "03:00 CEST"),
        ("0 3 * * *", "2026-10-25", "03:00 CET"),
    ],
)
def test_in_the_nights_in_which_the_clock_is_turned(cron: str, day: str, at: str) -> None:
    wall = [moment.astimezone(ZoneInfo("Europe/Berlin")) for moment in due(cron, "Europe/Berlin", 2026)]
    assert [f"{moment:%H:%M %Z}" for moment in wall if f"{moment:%Y-%m-%d}" == day] == [at]
