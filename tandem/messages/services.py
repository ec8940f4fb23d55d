"""The services that take messages: whatever an Apprise URL names, and Prefect's notification blocks."""

import re
from dataclasses import dataclass, field
from typing import Any, Protocol

import apprise

from tandem.errors import SettingsError
from tandem.messages.message import Message, harmless
from tandem.messages.sending import Undelivered, heard, keep_quiet

HOSTED = {"json", "jsons", "xml", "xmls", "form", "forms", "mailto", "mailtos"}  # whose host is a host, and no token
MOODS = {
    "released": apprise.NotifyType.SUCCESS,
    "approval wanted": apprise.NotifyType.INFO,
    "nightly late": apprise.NotifyType.WARNING,
    "trouble": apprise.NotifyType.WARNING,
}
ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})+")


class Service(Protocol):
    """Takes messages. `name` says to people which one it is, and holds no secret."""

    @property
    def name(self) -> str:
        """Where app.toml says it is, and what it is."""

    def send(self, message: Message) -> None:
        """Hand the message over; raises Undelivered. May take as long as it likes: see sending.py."""


@dataclass(frozen=True)
class Apprise:
    """One Apprise service: Slack, Teams, e-mail, a webhook and a hundred others."""

    name: str
    plugin: Any = field(repr=False, compare=False)

    def send(self, message: Message) -> None:
        """As plain text where the service shows plain text, else from HTML, which Apprise turns into its Markdown."""
        plain = self.plugin.notify_format == apprise.NotifyFormat.TEXT
        sender = apprise.Apprise(asset=_asset())
        sender.add(self.plugin)
        took = sender.notify(
            title=message.subject,
            body=message.text() if plain else message.html(),
            body_format=apprise.NotifyFormat.TEXT if plain else apprise.NotifyFormat.HTML,
            notify_type=MOODS.get(message.kind, apprise.NotifyType.FAILURE),
        )
        if not took:
            raise Undelivered(_reason(heard()))


def open_url(url: str, place: str) -> list[Service]:
    """The services of one or several Apprise URLs; `place` says where they stand. Raises SettingsError without them."""
    keep_quiet()
    found = apprise.Apprise(asset=_asset())
    if not found.add(url):
        schema = url.strip().partition("://")[0] if re.match(r"\s*[a-z0-9]{2,20}://", url) else "no schema"
        raise SettingsError(
            f"{place} holds no Apprise URL that can be used ({schema}): "
            "see https://appriseit.com/services/ for how each service is written"
        )
    return [from_plugin(plugin, place) for plugin in found]


def from_plugin(plugin: Any, place: str) -> Service:
    """A service of Apprise's own, however it was opened."""
    plugin.redirects = False  # requests would follow one with GET, and take the page there for a delivery
    schema = str(plugin.url(privacy=True)).partition("://")[0]
    return Apprise(f"{place} ({schema}{f' {plugin.host}' if schema in HOSTED else ''})", plugin)


def to_author(url: str, place: str, address: str) -> Service:
    """E-mail by the server of an Apprise mailto URL, to this address and nobody else.

    Raises SettingsError where the URL is none of e-mail's, Undelivered where the address is none to write to.
    """
    if not ADDRESS.fullmatch(address) or "noreply" in address.lower():
        raise Undelivered(f"the commit's author has no address that takes mail: {harmless(address, 80)!r}")
    (service,) = open_url(url, place)
    if not isinstance(service, Apprise) or not url.lower().startswith(("mailto:", "mailtos:")):
        raise SettingsError(f"{place}: an Apprise URL mailto://… or mailtos://… is wanted")
    plugin = service.plugin
    plugin.targets, plugin.cc, plugin.bcc = [(False, address)], set(), set()
    return Apprise(f"the author, by {service.name}", plugin)


def _reason(said: list[str]) -> str:
    """What Apprise's own words mean; they are not passed on, since other people's plugins write them."""
    text = " ".join(said)
    if status := re.search(r"\berror=([3-5]\d\d)\b", text):
        return f"the service answered HTTP {status[1]}"
    if re.search("connection|timed out|timeout", text, re.IGNORECASE):
        return "the service could not be reached"
    return "the service did not take the message"


def _asset() -> apprise.AppriseAsset:
    return apprise.AppriseAsset(
        app_id="Tandem",
        app_desc="Tandem",
        app_url="",
        image_url_mask="",  # no picture from somewhere else
        image_url_logo="",
        async_mode=False,
        secure_logging=True,
        http_redirects=False,
    )
