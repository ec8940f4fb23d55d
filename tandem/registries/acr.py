"""ACR's login: an Entra token, for a refresh token of the registry, for an access token of its scopes.

Source: https://github.com/Azure/acr/blob/main/docs/AAD-OAuth.md. Both tokens are renewed before they end.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import httpx
from azure.core.credentials import AccessToken
from azure.core.exceptions import AzureError, ClientAuthenticationError

from tandem.errors import RegistryError, Unreachable
from tandem.registries.answers import failure, told
from tandem.registries.login import LOOPBACK, Challenge, Grant, challenge_of, token

ENTRA_SCOPE = "https://containerregistry.azure.net/.default"
NO_ROLE = (
    "this identity needs a role on the registry: AcrPull or AcrPush, or where the registry uses ABAC Container "
    "Registry Repository Reader or Writer"
)
NOT_TAKEN = (
    "the registry does not take this Entra token: is it of the registry's tenant ('az login --tenant'), and is this "
    "machine's clock right?"
)


@dataclass
class AcrLogin:
    """Logs in to the ACR at `host` with what `entra` gives: any azure-identity credential's `get_token`."""

    host: str
    entra: Callable[[str], AccessToken]
    client: httpx.Client
    clock: Callable[[], float] = time.monotonic
    _refresh: Grant | None = field(default=None, init=False, repr=False)

    def grant(self, challenge: Challenge, scopes: Iterable[str]) -> Grant | None:
        """An access token for the scopes, both repositories' in one where a mount needs two."""
        realm = self._realm(challenge)
        form = {
            "grant_type": "refresh_token",
            "service": challenge.service,
            "scope": " ".join(sorted(scopes)),
            "refresh_token": self._refresh_token(realm, challenge.service),
        }
        request = self.client.build_request("POST", realm, data=form)
        try:
            return token(self.client, request, f"{self.host}: asking for {form['scope']}", NO_ROLE, self.clock)
        except RegistryError:
            self._refresh = None
            raise

    def refresh_token(self, challenge: Challenge) -> str:
        """The registry's refresh token, a secret that also logs Docker in."""
        return self._refresh_token(self._realm(challenge), challenge.service)

    def _realm(self, challenge: Challenge) -> httpx.URL:
        realm = httpx.URL(challenge.realm or f"https://{self.host}/oauth2/token")
        if realm.host != httpx.URL(f"https://{self.host}").host:
            raise RegistryError(f"{self.host}: names {realm.host} for its login, which ACR never does: not sent there")
        return realm

    def _refresh_token(self, realm: httpx.URL, service: str) -> str:
        if self._refresh is None or self.clock() >= self._refresh.until:
            try:
                entra = self.entra(ENTRA_SCOPE).token
            except ClientAuthenticationError as error:
                reason = str(error).splitlines()[0]
                raise RegistryError(f"{self.host}: no Entra token: {reason}: run 'az login', or set up workload "
                                    "identity") from None  # fmt: skip
            except AzureError as error:
                raise Unreachable(f"{self.host}: no Entra token: {str(error).splitlines()[0]}: is the network up? "
                                  "Try again") from None  # fmt: skip
            form = {"grant_type": "access_token", "service": service, "access_token": entra}
            request = self.client.build_request("POST", realm.join("/oauth2/exchange"), data=form)
            what = f"{self.host}: login"
            self._refresh = token(self.client, request, what, NOT_TAKEN, self.clock, "refresh_token")
        return self._refresh.header.removeprefix("Bearer ")


def refresh_token(host: str, entra: Callable[[str], AccessToken], client: httpx.Client) -> str:
    """What `docker login` takes as the password of user 00000000-0000-0000-0000-000000000000, for about three hours.

    Raises RegistryError, Unreachable.
    """
    scheme = "http" if httpx.URL(f"http://{host}").host in LOOPBACK else "https"
    try:
        response = client.get(f"{scheme}://{host}/v2/")
    except httpx.TransportError as error:
        raise Unreachable(f"{host}: login: {told(error)}") from error
    if (challenge := challenge_of(response)) is None:
        raise failure(response, f"{host}: asking how to log in")
    login = AcrLogin(host, entra, client)
    return login.refresh_token(challenge)
