"""When nothing is released by itself: `freeze` and `timezone` of [environments.NAME], as app.toml writes them."""

import re
from dataclasses import dataclass
from datetime import date
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator

WEEK = 7 * 24 * 60  # minutes
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
ALLOWED = (
    'a freeze is two dates, "2026-12-24..2027-01-02", both days within, '
    'or two times of every week, "Fri 15:00..Mon 06:00" (Mon Tue Wed Thu Fri Sat Sun, 00:00 to 24:00)'
)


@dataclass(frozen=True)
class Window:
    """One freeze, in the environment's wall-clock time: `dates` (both within), or `week`.

    `week` is where it begins, in minutes after Monday 00:00, and how many minutes later, by the clock on the wall,
    it is over.
    """

    text: str
    dates: tuple[date, date] | None = None
    week: tuple[int, int] | None = None


def _window(value: object) -> Window:
    if isinstance(value, Window):
        return value
    text = value.strip() if isinstance(value, str) else ""
    begin, dots, end = (part.strip() for part in text.partition(".."))
    if not dots:
        raise ValueError(f"{value!r}: {ALLOWED}")
    if re.match(r"\d", begin):
        first, last = _day(begin, text), _day(end, text)
        if last < first:
            raise ValueError(f"{text!r} ends before it begins: {ALLOWED}")
        return Window(text, dates=(first, last))
    first_minute, last_minute = _minute(begin, text), _minute(end, text)
    length = (last_minute - first_minute) % WEEK
    if not length:
        raise ValueError(f"{text!r} begins where it ends: {ALLOWED}")
    return Window(text, week=(first_minute % WEEK, length))


def _day(text: str, whole: str) -> date:
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
            day = date.fromisoformat(text)
            if 2000 <= day.year < 9999:
                return day
    except ValueError as error:  # 30 February
        raise ValueError(f"{whole!r}: {text}: {error}: {ALLOWED}") from None
    raise ValueError(f"{whole!r}: {text!r} is no date: {ALLOWED}")


def _minute(text: str, whole: str) -> int:
    match = re.fullmatch(r"([A-Za-z]{3})\s+(\d\d?):(\d\d)", text, re.ASCII)
    if match is None or match[1].lower() not in DAYS:
        raise ValueError(f"{whole!r}: {text!r} is no time of the week: {ALLOWED}")
    minute = int(match[2]) * 60 + int(match[3])
    if minute > 24 * 60 or int(match[3]) > 59:
        raise ValueError(f"{whole!r}: there is no time {match[2]}:{match[3]}: {ALLOWED}")
    return DAYS.index(match[1].lower()) * 24 * 60 + minute


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # KeyError: ZoneInfoNotFoundError
        raise ValueError(f'{name!r} is no time zone: an IANA name such as "UTC", "Europe/Berlin"') from None
    return name


def _several(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Windows = Annotated[tuple[Annotated[Window, BeforeValidator(_window)], ...], BeforeValidator(_several)]
Timezone = Annotated[str, AfterValidator(_zone)]
