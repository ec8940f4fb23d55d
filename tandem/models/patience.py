"""Asking a busy cloud again: a few times, as it says, and never for long."""

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

from tandem.errors import Unreachable

T = TypeVar("T")

TRIES = 4
LONGEST = 30.0  # seconds that a busy store is waited for in here; a longer wish goes to whoever called


def patient(ask: Callable[[], T], sleep: Callable[[float], None]) -> T:
    """What `ask` gives, asked again where it raises Unreachable; the last Unreachable where that does not help."""
    for attempt in range(1, TRIES):
        try:
            return ask()
        except Unreachable as busy:
            wait_for(busy, attempt, sleep)
    return ask()


def wait_for(busy: Unreachable, attempt: int, sleep: Callable[[float], None]) -> None:
    """Waits as long as the service asked for, else 0.25 s, doubled with each attempt; raises `busy` if that is long."""
    wait = 0.25 * 2 ** (attempt - 1) if busy.retry_after is None else busy.retry_after
    if wait > LONGEST:
        raise busy
    sleep(wait)


def retry_after(said: str | None) -> float | None:
    """Seconds until the service wants to be asked again (RFC 9110, 10.2.3), or None where it does not say."""
    if said is None or said.isdigit():
        return None if said is None else float(said)
    try:
        return max(0.0, (parsedate_to_datetime(said) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None
