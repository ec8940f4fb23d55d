"""One message to everybody who is to hear it: once, remembered, within the time limit, and with a warning where not."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from prefect import runtime
from prefect.exceptions import MissingContextError
from prefect.logging import get_logger, get_run_logger

from tandem.errors import TandemError
from tandem.messages.message import Message
from tandem.messages.sending import send_all
from tandem.settings import Credentials, MessageKind, Settings
from tandem.triggers.api import Api, connect

from . import told

if TYPE_CHECKING:
    from tandem.messages.services import Service

TRIES = 6  # the last of them an hour after the first
PATIENCE = 3.0  # seconds that Prefect's server is waited for
AUTHOR = "author"


@dataclass(frozen=True)
class Sent:
    """Who was told, by name; what went wrong, by name; and the places in app.toml where not everybody was told."""

    told: tuple[str, ...]
    troubles: Mapping[str, str]
    missing: tuple[str, ...]


Log = logging.Logger | logging.LoggerAdapter[logging.Logger]


def wanted(settings: Settings, kind: MessageKind) -> bool:
    """Whether anybody is to hear of such things."""
    wish = settings.toml.messages
    return kind in wish.on and bool(wish.to or (wish.author and kind == "integrate failed"))


def is_new(settings: Settings, subject: str, of: str) -> bool:
    """Whether there is anything to tell on this subject, or to tell again to who did not get it."""
    earlier = _earlier(connect(patience=PATIENCE), f"{settings.app}/{subject}", of)
    return earlier is None or _is_due(earlier)


def tell(settings: Settings, subject: str, of: str, message: Message, run: str = "", author: str = "") -> None:
    """Send it to everybody who has not got it yet, and remember that. `of` is what it tells of: the same is told once.

    `author` is the e-mail address of the commit's author, where that is to hear it too. What is not delivered is a
    warning, and tried again when this is called again: after 2, 4, 8, … minutes.
    """
    if not wanted(settings, message.kind):
        return
    api, subject = connect(patience=PATIENCE), f"{settings.app}/{subject}"
    earlier = _earlier(api, subject, of)
    if earlier and not _is_due(earlier):
        return
    sent = send(settings, message, author, earlier.missing if earlier else None)
    for name in sent.told:
        log().info("told %s: %s", name, message.subject)
    for name, why in sent.troubles.items():
        log().warning("%s did not get the message %r: %s", name, message.subject, why)
    tries, run = earlier.tries + 1 if earlier else 1, run or str(runtime.flow_run.id or "")
    try:
        told.write(api, subject, told.Told(of, run, now(), sent.missing, tries), message)
    except Exception as error:
        log().warning("what was told cannot be remembered, so it may be told again: %s", safe(error))


def send(settings: Settings, message: Message, author: str = "", only: tuple[str, ...] | None = None) -> Sent:
    """Send it to all, or `only` to the receivers at those places of app.toml; raises nothing."""
    from . import receivers  # Apprise and Prefect's blocks take a while to import, and most runs tell nothing

    services: dict[str, tuple[str, Service]] = {}
    troubles: dict[str, str] = {}
    missing = []
    places: list[tuple[str, Credentials | None]] = [(receivers.place(each), each) for each in settings.toml.messages.to]
    places += [(AUTHOR, None)] if author and settings.toml.messages.author else []
    for place, credentials in places:
        if only is not None and place not in only:
            continue
        try:
            opened = receivers.receivers(credentials) if credentials else [receivers.author(settings, author)]
            for number, service in enumerate(opened, 1):
                services[f"{service.name}{f' {number}' * (len(opened) > 1)}"] = (place, service)
        except Exception as error:
            troubles[place] = safe(error)
            missing.append(place)
    jobs = {name: partial(service.send, message) for name, (_, service) in services.items()}
    undelivered = send_all(jobs)
    missing += [place for name, (place, _) in services.items() if name in undelivered]
    told_them = tuple(name for name in services if name not in undelivered)
    return Sent(told_them, troubles | undelivered, tuple(dict.fromkeys(missing)))


def safe(error: Exception) -> str:
    """What may be printed of an error: Tandem's own words, and of others only the kind, since URLs hold secrets."""
    return str(error) if isinstance(error, TandemError) else type(error).__name__


def now() -> datetime:
    """The clock: read at the edge."""
    return datetime.now(UTC)


def log() -> Log:
    """The run's log, or where there is no run, Prefect's."""
    try:
        return get_run_logger()
    except MissingContextError:
        return get_logger("tandem")


def _earlier(api: Api, subject: str, of: str) -> told.Told | None:
    try:
        earlier = told.read(api, subject)
    except Exception as error:
        log().warning("what was told already cannot be read, so it is told (again): %s", safe(error))
        return None
    return earlier if earlier and earlier.of == of else None


def _is_due(earlier: told.Told) -> bool:
    waited = now() - earlier.at
    return bool(earlier.missing) and earlier.tries < TRIES and waited >= timedelta(minutes=2**earlier.tries)
