"""What an environment asks of its cluster beside the app's YAML: a pull secret, a DNS label."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from tandem.errors import SettingsError
from tandem.settings import Settings
from tandem.targets.kubernetes.names import DnsLabel
from tandem.targets.kubernetes.pull_secret import Account, PullSecret


@dataclass(frozen=True)
class Wishes:
    """None for what is not asked for."""

    pull_secret: PullSecret | None = None
    dns: DnsLabel | None = None


NOTHING = Wishes()


def pulled_from(settings: Settings) -> str:
    """The app's registry as pods say it: HOST/REPOSITORY."""
    return re.sub(r"^(acr:)?(https?://)?", "", settings.toml.image.registry)


def wishes(
    settings: Settings,
    environment: str,
    account: Account | None,
    names: str = "cloudapp.azure.com",
    location: Callable[[], str] | None = None,
) -> Wishes:
    """What [environments.NAME] asks for. `account` is the registry's.

    `names` is what the names of the cloud's load balancers end with; `location` asks Azure for the cluster's, where
    app.toml does not say it. Raises SettingsError.
    """
    wish, key = settings.environment(environment), f"environments.{environment}"
    secret = label = None
    if wish.pull_secret:
        if account is None:
            raise SettingsError(
                f"{key}.pull_secret: there is no account to make it from: name one that stays valid in [image] "
                "credentials; on AKS leave pull_secret out and use 'az aks update --attach-acr'"
            )
        secret = PullSecret(settings.app, pulled_from(settings).partition("/")[0], account)
    if wish.dns_label:
        if wish.location is None and location is None:
            raise SettingsError(
                f'{key}.location: dns_label needs the cluster\'s region, such as location = "westeurope"'
            )
        label = DnsLabel(wish.dns_label, _suffix(wish.location, location, names), wish.resolver)
    return Wishes(secret, label)


def _suffix(known: str | None, ask: Callable[[], str] | None, names: str) -> Callable[[], str]:
    return lambda: f"{known or (ask() if ask else '')}.{names}"
