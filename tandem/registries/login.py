"""Logging in to a registry: its challenge (RFC 7235), and what answers it (distribution-spec's token protocol)."""

import base64
import json
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

import httpx

from tandem.errors import RegistryError, TandemError, Unreachable
from tandem.registries.answers import BUSY, ROLES, NotLoggedIn, document, failure, reasons, told

MARGIN = 30.0  # seconds before its end in which a token is no longer begun with
UNSAID = 60.0  # seconds that a token lives which does not say: the token protocol's rule
LOOPBACK = {"localhost", "127.0.0.1", "::1"}
TIMEOUT = httpx.Timeout(30.0, connect=10.0).as_dict()  # no gigabytes are moved before a token comes
LOG_IN = f"'docker login', or [image] credentials in app.toml; {ROLES}"


@dataclass(frozen=True)
class Account:
    """Who logs in. `secret` is a password, or with user "<token>" an OAuth2 refresh token."""

    user: str
    secret: str = field(repr=False)


@dataclass(frozen=True)
class Challenge:
    """What a 401 asks for."""

    scheme: str
    realm: str = ""
    service: str = ""
    scope: str = ""


@dataclass(frozen=True)
class Grant:
    """An Authorization header's value, good until `until` by the clock that was given."""

    header: str = field(repr=False)
    until: float = float("inf")


class Login(Protocol):
    """Answers a registry's challenge."""

    def grant(self, challenge: Challenge, scopes: Iterable[str]) -> Grant | None:
        """What to send for these scopes, or None where there is nothing to send. Raises RegistryError, Unreachable."""


@dataclass(frozen=True)
class AccountLogin:
    """Anonymous, or as an account: Basic, or a bearer token from the realm that the registry names."""

    registry: str
    account: Callable[[], Account | None]
    client: httpx.Client
    clock: Callable[[], float] = time.monotonic

    def grant(self, challenge: Challenge, scopes: Iterable[str]) -> Grant | None:
        """A token for the scopes; the account's name and password where the registry asks for Basic."""
        account = self.account()
        if challenge.scheme == "basic":
            return Grant(_basic(account)) if account else None
        scope = sorted(scopes)
        if account and account.user == "<token>":
            form = {"grant_type": "refresh_token", "service": challenge.service, "scope": " ".join(scope)}
            request = self.client.build_request(
                "POST", challenge.realm, data={**form, "client_id": "tandem", "refresh_token": account.secret}
            )
        else:
            headers = {"Authorization": _basic(account)} if account else {}
            asked = httpx.QueryParams([("service", challenge.service), *(("scope", each) for each in scope)])
            realm = httpx.URL(challenge.realm)
            request = self.client.build_request("GET", realm.copy_merge_params(asked), headers=headers)
        asks = f"{self.registry}: asking {request.url.host} for {' '.join(scope)}"
        return token(self.client, request, asks, LOG_IN, self.clock)


def token(
    client: httpx.Client,
    request: httpx.Request,
    what: str,
    remedy: str,
    clock: Callable[[], float],
    name: str = "access_token",
) -> Grant:
    """The bearer token that a token service answers under `name`; where it refuses, the error says `remedy`.

    Raises NotLoggedIn, RegistryError, Unreachable; never what means a missing image or a wrong upload.
    """
    if request.url.scheme != "https" and request.url.host not in LOOPBACK:
        raise RegistryError(f"{what}: would send a secret over plain {request.url.scheme}: use https")
    request.extensions["timeout"] = TIMEOUT
    try:
        response = client.send(request, stream=True)
    except httpx.TransportError as error:
        raise Unreachable(f"{what}: {told(error)}") from error
    try:
        if response.status_code != 200:
            raise _refusal(response, what, remedy)
        answer = document(response, what, clock)
    finally:
        response.close()
    value = answer.get(name) or answer.get("token")
    if not isinstance(value, str):
        raise RegistryError(f"{what}: its answer holds no token: is this the registry's address, and not a proxy's?")
    lives = answer.get("expires_in") or _life(value)
    return Grant(f"Bearer {value}", clock() + (float(lives) if isinstance(lives, int | float) else UNSAID) - MARGIN)


def _refusal(response: httpx.Response, what: str, remedy: str) -> TandemError:
    status = response.status_code
    if status in BUSY:
        return failure(response, f"{what} (its token service)")
    said = reasons(response, what)
    words = f"{what}: {status}{': ' + said if said else ''}"
    if status in {400, 401, 403}:
        return (NotLoggedIn if status == 401 else RegistryError)(f"{words}: {remedy}")
    return RegistryError(f"{words}: no token service answers so: is this the registry's address, and not a proxy's?")


def _life(value: str) -> float | None:
    """Seconds from a JSON Web Token's beginning to its end (RFC 7519), where it says; its signature is not ours."""
    try:
        body = value.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        return float(claims["exp"]) - float(claims["iat"])
    except (IndexError, ValueError, KeyError, TypeError):
        return None


def challenge_of(response: httpx.Response) -> Challenge | None:
    """The challenge of a 401, Bearer before Basic; None where it has neither."""
    found = {}
    for header in response.headers.get_list("WWW-Authenticate"):
        for scheme, said in re.findall(r'(?i)\b(bearer|basic)\s+((?:\w+="[^"]*"(?:\s*,\s*)?)*)', header):
            values = dict(re.findall(r'(\w+)="([^"]*)"', said))
            known = {key: values.get(key, "") for key in ("realm", "service", "scope")}
            found[scheme.lower()] = Challenge(scheme.lower(), **known)
    return found.get("bearer") or found.get("basic")


def _basic(account: Account) -> str:
    return "Basic " + base64.b64encode(f"{account.user}:{account.secret}".encode()).decode()
