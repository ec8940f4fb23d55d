"""Who hears of it: what app.toml's [messages] names, opened; Prefect's blocks are resolved here."""

from dataclasses import dataclass
from typing import Any

import httpx
from prefect.blocks.abstract import NotificationBlock

from tandem.errors import SettingsError
from tandem.messages.message import Message
from tandem.messages.sending import Undelivered, keep_quiet
from tandem.messages.services import Service, from_plugin, open_url, to_author
from tandem.settings import Credentials, Settings

from . import backends


@dataclass(frozen=True)
class Block:
    """A notification block of its own making, such as Custom Webhook."""

    name: str
    block: Any

    def send(self, message: Message) -> None:
        """By the block's own means, as plain text; raises Undelivered, or what else the block raises."""
        try:
            with self.block.raise_on_failure():
                self.block.notify(body=message.text(), subject=message.subject)
        except httpx.HTTPStatusError as error:
            raise Undelivered(f"the service answered HTTP {error.response.status_code}") from None
        except httpx.TransportError:
            raise Undelivered("the service could not be reached") from None


def place(credentials: Credentials) -> str:
    """Where app.toml says that a receiver is, in one word."""
    return str(credentials.env or credentials.block)


def receivers(credentials: Credentials) -> list[Service]:
    """The services at one place of [messages] to. Raises SettingsError."""
    keep_quiet()
    name, key = place(credentials), "messages.to"
    if credentials.block is None or credentials.block.startswith("secret/"):
        return open_url(backends.secret(credentials, key) or "", name)
    block = backends.load_block(credentials, key)
    plugins = getattr(block, "_apprise_client", None)
    if plugins is not None and getattr(block, "allow_private_urls", True):
        return [from_plugin(plugin, name) for plugin in plugins]  # Prefect's own notify() escapes nothing
    if isinstance(block, NotificationBlock):
        return [Block(name, block)]
    raise SettingsError(f"{key}: block {credentials.block} is a {type(block).__name__}: a notification block is wanted")


def author(settings: Settings, address: str) -> Service:
    """E-mail to a commit's author. Raises SettingsError, Undelivered."""
    credentials = settings.toml.messages.author
    if credentials is None:
        raise SettingsError("messages.author names no mail server")
    return to_author(backends.secret(credentials, "messages.author") or "", place(credentials), address)
