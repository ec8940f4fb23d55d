"""Whether those who are to hear of things can be told, as far as that can be known without telling them."""

from collections.abc import Iterator
from functools import partial
from importlib import import_module
from typing import Any

from tandem.cli.checks import Check, attempt
from tandem.settings import Credentials, Settings


def telling(settings: Settings) -> Iterator[Check]:
    """Each receiver of [messages], and [source] status: its credential is there, and can be read."""
    wish = settings.toml.messages
    if wish.to or wish.author:
        receivers: Any = import_module("tandem.flows.receivers")
        for each in wish.to:
            yield attempt(settings.app, "messages", partial(_opened, receivers, each))
        if wish.author:
            yield attempt(settings.app, "messages", lambda: receivers.author(settings, "somebody@example.org").name)
    if settings.toml.source.status:
        statuses: Any = import_module("tandem.flows.statuses")
        yield attempt(settings.app, "statuses", lambda: f"go to {statuses.forge(settings)[1].api}")


def _opened(receivers: Any, each: Credentials) -> str:
    return ", ".join(service.name for service in receivers.receivers(each))
