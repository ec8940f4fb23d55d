"""Registries: where images and their evidence are kept. One file a backend, and one line in the table here."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from tandem.errors import SettingsError
from tandem.registries.accounts import docker_account
from tandem.registries.distribution import DistributionRegistry
from tandem.registries.layout import LayoutRegistry
from tandem.registries.login import LOOPBACK, Account, AccountLogin, Login
from tandem.registries.wire import Wire
from tandem.seams import Registry
from tandem.trust import trusted

HOST = r"(?:localhost|\[[0-9a-f:]+\]|[a-z0-9-]+(?:\.[a-z0-9-]+)+|[a-z0-9-]+(?=:[0-9]))(?::[0-9]+)?"
NAME = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"  # distribution-spec, pulling manifests
PLACE = re.compile(rf"(?:(?P<scheme>https?)://)?(?P<host>{HOST})/(?P<repository>{NAME}(?:/{NAME})*)")
HUB = {"docker.io": "registry-1.docker.io"}
TIMEOUT = httpx.Timeout(60.0, connect=10.0, read=300.0)  # a registry may move gigabytes before it answers


@dataclass(frozen=True)
class Opening:
    """What a backend is opened with."""

    url: str
    root: Path
    account: Account | None
    sources: Sequence[str]


def _layout(opening: Opening) -> Registry:
    path = opening.url.removeprefix("oci:")
    if not path:
        raise SettingsError(f"image.registry: {opening.url!r} names no folder: write oci:path/to/folder")
    return LayoutRegistry(opening.url, opening.root / path)


def _distribution(opening: Opening) -> Registry:
    place = PLACE.fullmatch(opening.url)
    if place is not None and place["host"].endswith(".azurecr.io") and opening.account is None:
        return _acr(opening)
    host = place["host"] if place else ""

    def account() -> Account | None:
        return opening.account or docker_account(host, os.environ)

    return _speaking(opening, place, lambda client: AccountLogin(host, account, client))


def _acr(opening: Opening) -> Registry:
    place = PLACE.fullmatch(opening.url.removeprefix("acr:"))

    def login(client: httpx.Client) -> Login:
        from azure.identity import DefaultAzureCredential

        from tandem.registries.acr import AcrLogin

        return AcrLogin(place["host"] if place else "", DefaultAzureCredential().get_token, client)

    return _speaking(opening, place, login)


def _speaking(
    opening: Opening, place: re.Match[str] | None, login: Callable[[httpx.Client], Login]
) -> DistributionRegistry:
    if place is None:
        wanted = "write oci:path/to/folder, or host[:port]/repository"
        raise SettingsError(f"image.registry: {opening.url!r} is not known here: {wanted}")
    host = HUB.get(place["host"], place["host"])
    plain = httpx.URL(f"http://{host}").host in LOOPBACK
    client = httpx.Client(timeout=TIMEOUT, verify=trusted())
    origin = f"{place['scheme'] or ('http' if plain else 'https')}://{host}"
    return DistributionRegistry(Wire(origin, place["repository"], client, login(client)), opening.sources)


REGISTRIES: Mapping[str, Callable[[Opening], Registry]] = {"oci": _layout, "acr": _acr}  # else _distribution


def open_registry(url: str, root: Path, account: Account | None = None, sources: Sequence[str] = ()) -> Registry:
    """The registry that [image].registry names: `oci:folder` (a relative one starts at `root`), or
    `host[:port]/repository`, https except on loopback (`http://` before it says otherwise). ACR's login is used
    where the host ends in azurecr.io, or where `acr:` stands before it.

    `account` logs in; without one, what `docker login` left. `sources` are repositories of the same host that blobs
    may be mounted from. Nothing is read or made yet. Raises SettingsError where no backend knows the URL.
    """
    return REGISTRIES.get(url.partition(":")[0], _distribution)(Opening(url, root, account, sources))
