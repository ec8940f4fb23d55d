"""Whether an environment is frozen, and until when, by the clock on its wall; pure, with the time passed in."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from tandem.settings.freeze import Window

AHEAD = timedelta(days=400)  # windows that follow one another are followed so far


@dataclass(frozen=True)
class Frozen:
    """The freeze that holds now: `until` in the environment's time zone, `window` as app.toml writes it."""

    until: datetime
    window: str

    def __str__(self) -> str:
        return f'frozen until {self.until:%a %Y-%m-%d %H:%M} {self.until.tzinfo} (freeze "{self.window}")'


def frozen(windows: Sequence[Window], timezone: str, now: datetime) -> Frozen | None:
    """The freeze that holds at `now` (aware), or None. Where windows overlap or touch, until the last of them ends.

    A window's edge is when the clock on the wall comes to that time. A time that daylight saving leaves out: when the
    clock is turned over it. A time that comes twice: the first for a beginning, the second for an end.
    """
    zone = ZoneInfo(timezone)
    holding = _latest(windows, zone, now)
    if holding is None:
        return None
    until, window = holding
    while until < now + AHEAD and (longer := _latest(windows, zone, until)):
        until = longer[0]
    return Frozen(until.astimezone(zone), window.text)


def _latest(windows: Sequence[Window], zone: ZoneInfo, now: datetime) -> tuple[datetime, Window] | None:
    """Of the windows that hold at `now`, the one that ends last."""
    holding = [(end, window) for window in windows for begin, end in _near(window, zone, now) if begin <= now < end]
    return max(holding, key=lambda each: each[0], default=None)


def _near(window: Window, zone: ZoneInfo, now: datetime) -> Iterator[tuple[datetime, datetime]]:
    """From when until when (UTC) the window holds, for those times of it that may hold at `now`."""
    if window.dates is not None:
        first, last = window.dates
        yield _moment(_midnight(first), zone), _moment(_midnight(last + timedelta(days=1)), zone, last=True)
    if window.week is not None:
        begin, length = (timedelta(minutes=minutes) for minutes in window.week)
        today = now.astimezone(zone).date()
        monday = _midnight(today - timedelta(days=today.weekday()))
        for weeks in (-1, 0):
            starts = monday + timedelta(weeks=weeks) + begin
            yield _moment(starts, zone), _moment(starts + length, zone, last=True)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time())


def _moment(wall: datetime, zone: ZoneInfo, last: bool = False) -> datetime:
    """When (UTC) the clock on the wall comes to this time: the first or the last time, or when it is turned over it.

    Python's `fold` (PEP 495) gives two moments where they differ: both right where a time comes twice, and one on
    either side of the turning where it never comes.
    """
    early, late = sorted(wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if early == late or early.astimezone(zone).replace(tzinfo=None) == wall:
        return late if last else early
    while late - early > timedelta(seconds=1):
        middle = (early + (late - early) / 2).replace(microsecond=0)
        if middle.astimezone(zone).replace(tzinfo=None) < wall:
            early = middle
        else:
            late = middle
    return late
