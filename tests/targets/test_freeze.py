"""Freezes by the clock on the wall: their edges, the whole year round, where daylight saving turns that clock."""

import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tandem.settings import EnvironmentSettings
from tandem.settings.freeze import Window
from tandem.targets.freeze import Frozen, frozen

BERLIN = "Europe/Berlin"  # 2026: forward on 29 March at 02:00, back on 25 October at 03:00


def windows(*texts: str) -> Sequence[Window]:
    return EnvironmentSettings.model_validate({"target": "process:", "freeze": texts}).freeze


def at(text: str, zone: str = BERLIN, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)


def until(now: datetime, *texts: str, zone: str = BERLIN) -> str | None:
    found = frozen(windows(*texts), zone, now.astimezone(UTC))
    return found and f"{found.until:%Y-%m-%d %H:%M %Z}"


def test_both_dates_are_within() -> None:
    christmas = "2026-12-24..2027-01-02"
    assert until(at("2026-12-23 23:59"), christmas) is None
    assert until(at("2026-12-24 00:00"), christmas) == "2027-01-03 00:00 CET"
    assert until(at("2027-01-02 23:59"), christmas) == "2027-01-03 00:00 CET"
    assert until(at("2027-01-03 00:00"), christmas) is None


def test_a_week_ends_on_the_minute() -> None:
    weekend = "Fri 15:00..Mon 06:00"
    assert until(at("2026-11-20 14:59"), weekend) is None
    assert until(at("2026-11-20 15:00"), weekend) == "2026-11-23 06:00 CET"
    assert until(at("2026-11-23 05:59"), weekend) == "2026-11-23 06:00 CET"
    assert until(at("2026-11-23 06:00"), weekend) is None


def test_the_clock_on_the_wall_is_the_environments_own() -> None:
    moment = datetime(2026, 11, 20, 20, 30, tzinfo=UTC)
    assert until(moment, "Fri 15:00..Mon 06:00", zone="America/New_York") == "2026-11-23 06:00 EST"
    assert until(moment, "Fri 15:00..Mon 06:00", zone="America/Los_Angeles") is None
    assert until(moment, "Sat 00:00..Sun 24:00", zone="Asia/Tokyo") == "2026-11-23 00:00 JST"


def test_a_weekend_over_which_the_clock_is_turned_ends_by_the_clock() -> None:
    weekend = "Fri 15:00..Mon 06:00"
    assert until(at("2026-03-28 12:00"), weekend) == "2026-03-30 06:00 CEST"
    assert until(at("2026-10-24 12:00"), weekend) == "2026-10-26 06:00 CET"


def test_times_that_never_come_are_when_the_clock_is_turned_over_them() -> None:
    turned = datetime(2026, 3, 29, 1, tzinfo=UTC)
    second = timedelta(seconds=1)
    assert until(turned - second, "Sun 02:30..Sun 05:00") is None
    assert until(turned, "Sun 02:30..Sun 05:00") == "2026-03-29 05:00 CEST"
    assert until(turned - second, "Sat 20:00..Sun 02:30") == "2026-03-29 03:00 CEST"
    assert until(turned, "Sat 20:00..Sun 02:30") is None
    assert until(turned, "Sun 02:10..Sun 02:50") is None and until(turned - second, "Sun 02:10..Sun 02:50") is None


def test_times_that_come_twice_freeze_from_the_first_to_the_second() -> None:
    assert until(at("2026-10-25 02:29"), "Sun 02:30..Sun 05:00") is None
    for fold in (0, 1):
        assert until(at("2026-10-25 02:30", fold=fold), "Sun 02:30..Sun 05:00") == "2026-10-25 05:00 CET"
        assert until(at("2026-10-25 02:10", fold=fold), "Sat 20:00..Sun 02:30") == "2026-10-25 02:30 CET"
    assert until(at("2026-10-25 02:15", fold=1), "Sun 02:10..Sun 02:20") == "2026-10-25 02:20 CET"
    assert until(at("2026-10-25 02:40", fold=0), "Sun 02:10..Sun 02:20") == "2026-10-25 02:20 CET", "no hole in it"


def test_a_day_that_begins_at_one_o_clock() -> None:
    assert until(at("2026-04-23 12:00", "Africa/Cairo"), "2026-04-23..2026-04-23", zone="Africa/Cairo") == (
        "2026-04-24 01:00 EEST"
    )
    assert until(at("2026-04-24 01:00", "Africa/Cairo"), "2026-04-24..2026-04-24", zone="Africa/Cairo") is not None


def test_windows_that_touch_or_overlap_are_one() -> None:
    both = "Fri 15:00..Mon 06:00", "2026-12-21..2026-12-24", "2026-12-25..2026-12-27"
    assert until(at("2026-12-18 16:00"), *both) == "2026-12-28 06:00 CET"
    week = "Mon 00:00..Fri 00:00", "Thu 00:00..Sun 24:00"
    found = frozen(windows(*week), BERLIN, at("2026-12-18 16:00").astimezone(UTC))
    assert found is not None and found.until > at("2027-12-18 16:00"), "for ever ends somewhere"


def test_a_freeze_says_until_when_and_which() -> None:
    held = frozen(windows("Fri 15:00..Mon 06:00"), BERLIN, at("2026-11-21 12:00"))
    assert str(held) == 'frozen until Mon 2026-11-23 06:00 Europe/Berlin (freeze "Fri 15:00..Mon 06:00")'


ZONES = ["UTC", BERLIN, "America/New_York", "Australia/Lord_Howe", "America/St_Johns", "Asia/Kathmandu", "Africa/Cairo"]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("seed", range(3))
def test_any_half_hour_of_a_year_agrees_with_the_wall(zone: str, seed: int) -> None:
    """Away from the hours in which the clock is turned, the wall's own digits say it all."""
    dice = random.Random(f"{zone} {seed}")
    days = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
    begin, length = dice.randrange(10080), dice.randrange(1, 10080)
    edges = [f"{days[m // 1440]} {m % 1440 // 60:02}:{m % 60:02}" for m in (begin, (begin + length) % 10080)]
    first = date(2026, 1, 1) + timedelta(days=dice.randrange(300))
    last = first + timedelta(days=dice.randrange(20))
    both, wall_zone = windows("..".join(edges), f"{first}..{last}"), ZoneInfo(zone)
    for half_hours in dice.sample(range(2 * 24 * 365), 1000):
        now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=30 * half_hours)
        offsets = {(now + timedelta(hours=h)).astimezone(wall_zone).utcoffset() for h in (-2, 0, 2)}
        if len(offsets) > 1:
            continue
        wall = now.astimezone(wall_zone)
        minute = wall.weekday() * 1440 + wall.hour * 60 + wall.minute
        expected = (minute - begin) % 10080 < length or first <= wall.date() <= last
        held: Frozen | None = frozen(both, zone, now)
        assert (held is not None) == expected, f"{wall} {edges} {first}..{last}"
        if held is not None:
            assert held.until > now and frozen(both, zone, held.until) is None
            assert frozen(both, zone, held.until - timedelta(seconds=1)) is not None
