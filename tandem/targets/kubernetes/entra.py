"""Entra's tokens for Azure Resource Manager and for a cluster, of whatever identity is at hand.

Clouds: https://learn.microsoft.com/azure/azure-government/compare-azure-government-global-azure#guidance-for-developers
and https://learn.microsoft.com/azure/china/resources-developer-guide
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock
from urllib.parse import urlsplit

from azure.core.credentials import AccessToken, TokenCredential
from azure.core.exceptions import AzureError, ClientAuthenticationError

from tandem.errors import Unreachable
from tandem.targets.kubernetes.refusal import ApiRefused

EARLY = 120.0  # seconds before its end that a token is renewed


@dataclass(frozen=True)
class Cloud:
    """One of Azure's clouds: its Resource Manager, and what the names of its load balancers end with."""

    manager: str
    names: str


PUBLIC = Cloud("https://management.azure.com", "cloudapp.azure.com")
CHINA = Cloud("https://management.chinacloudapi.cn", "cloudapp.chinacloudapi.cn")
GOVERNMENT = Cloud("https://management.usgovcloudapi.net", "cloudapp.usgovcloudapi.net")
CLOUDS = {
    "login.chinacloudapi.cn": CHINA,
    "login.partner.microsoftonline.cn": CHINA,
    "login.microsoftonline.us": GOVERNMENT,
}


def cloud(environ: Mapping[str, str]) -> Cloud:
    """The cloud that AZURE_AUTHORITY_HOST belongs to; without it, or with another, the public one."""
    authority = environ.get("AZURE_AUTHORITY_HOST", "")
    return CLOUDS.get(urlsplit(authority if "//" in authority else f"//{authority}").hostname or "", PUBLIC)


class Tokens:
    """An identity's tokens by scope, renewed before they end; for several threads.

    Some identities (`az`) take a second for each token, so one is kept here as long as it is good.
    """

    def __init__(self, credential: TokenCredential, clock: Callable[[], float] = time.time) -> None:
        self._credential, self._clock, self._lock = credential, clock, Lock()
        self._kept: dict[str, tuple[AccessToken, float]] = {}  # and when to renew it

    def token(self, scope: str, what: str) -> str:
        """A token for the scope, for `what`, as people call it. Raises ApiRefused (401), Unreachable."""
        with self._lock:
            kept, renew = self._kept.get(scope, (None, 0.0))
            now = self._clock()
            if kept is None or now >= renew:
                try:
                    kept = self._asked(scope, what)
                except Unreachable:
                    if kept is None or now >= kept.expires_on:
                        raise
                else:
                    self._kept[scope] = kept, kept.expires_on - min(EARLY, (kept.expires_on - now) / 2)
            return kept.token

    def _asked(self, scope: str, what: str) -> AccessToken:
        try:
            return self._credential.get_token(scope)
        except ClientAuthenticationError as error:
            raise ApiRefused(
                401, f"{what}: no Entra token: {_first(error)}: run 'az login', or set up workload identity"
            ) from None
        except AzureError as error:
            raise Unreachable(f"{what}: no Entra token: {_first(error)}: is the network up? Try again") from None


def _first(error: AzureError) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)[:300]
