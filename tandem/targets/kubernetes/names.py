"""An Azure DNS label: LABEL.LOCATION.cloudapp.azure.com must resolve to the load balancer's address.

https://learn.microsoft.com/azure/aks/static-ip#apply-a-dns-label-to-the-service
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tandem.errors import ReleaseFailed, SettingsError
from tandem.records import Progress
from tandem.targets.kubernetes.cluster import Cluster
from tandem.targets.kubernetes.objects import Json, Wanted
from tandem.targets.kubernetes.prepare import LABEL

if TYPE_CHECKING:  # a tenth of a second to import, in every release, and few ask for a name
    import dns.resolver

WAIT = 300.0  # seconds until a new name may be known
PAUSE, ONE_TRY = 2.0, 5.0  # seconds


@dataclass(frozen=True)
class DnsLabel:
    """The first part of the name, and the rest of it, which Azure may have to be asked for.

    `resolver` is the DNS server to ask, IP or IP:port; None: this machine's.
    """

    label: str
    suffix: Callable[[], str]
    resolver: str | None = None

    def fits(self, wanted: Sequence[Wanted]) -> None:
        """ReleaseFailed, the candidate's fault, where not exactly one of these objects takes the label."""
        _one([each.body for each in wanted if each.body["kind"] == "Service"])

    def wait(self, cluster: Cluster, environment: str, seconds: float = WAIT) -> Iterator[Progress]:
        """Until the name resolves to the address. Raises ReleaseFailed, the environment's fault, naming both."""
        address, name = _address(cluster, environment), f"{self.label}.{self.suffix()}"
        asking, until, said = _resolver(self.resolver), time.monotonic() + seconds, False
        while True:
            found, why = _addresses(asking, name, address)
            if found == {address}:
                yield Progress(f"{name} resolves to {address}", 1, 1)
                return
            if time.monotonic() + PAUSE > until:
                told = f"resolves to {', '.join(sorted(found))}" if found else f"does not resolve ({why})"
                raise ReleaseFailed(
                    f"{name} {told} after {seconds:.0f} s, and the load balancer is {address}: another Service or "
                    "address of this region may hold the label (the Service's events say so), or [environments] "
                    "location is not the cluster's",
                    "environment",
                )
            if not said:
                yield Progress(f"waiting for {name} to resolve to {address}")
                said = True
            time.sleep(PAUSE)


def _address(cluster: Cluster, environment: str) -> str:
    service = _one(cluster.items("v1", "Service", f"{LABEL}={environment}")[0])
    given = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    found = [str(each["ip"]) for each in given if each.get("ip")]
    if not found:
        name = service["metadata"]["name"]
        raise ReleaseFailed(f"Service/{name} has no IP address, and a DNS label is one's name", "environment")
    return found[0]


def _one(services: Sequence[Json]) -> Json:
    balanced = [body for body in services if (body.get("spec") or {}).get("type") == "LoadBalancer"]
    if len(balanced) != 1:
        names = ", ".join(body["metadata"]["name"] for body in balanced) or "none"
        raise ReleaseFailed(
            f"dns_label names one address, and the app's Services of type LoadBalancer are: {names}: leave dns_label "
            "out, and annotate the one in the app's YAML",
            "candidate",
        )
    return balanced[0]


def _resolver(place: str | None) -> "dns.resolver.Resolver":
    import dns.exception
    import dns.resolver

    try:
        if place is None:
            return dns.resolver.Resolver()
        asking = dns.resolver.Resolver(configure=False)
        parts = urlsplit(f"//[{place}]" if place.count(":") > 1 and "[" not in place else f"//{place}")
        asking.nameservers, asking.port = [parts.hostname or ""], parts.port or 53
    except (ValueError, dns.exception.DNSException) as error:
        raise SettingsError(f"resolver: {place or 'this machine has none'}: {error}: write IP or IP:port") from None
    return asking


def _addresses(asking: "dns.resolver.Resolver", name: str, like: str) -> tuple[set[str], str]:
    """What the name resolves to, and why to nothing."""
    import dns.exception

    try:
        answer = asking.resolve(f"{name}.", "AAAA" if ":" in like else "A", lifetime=ONE_TRY)
    except dns.exception.DNSException as error:
        return set(), " ".join(str(error).split())
    return {str(each) for each in answer}, ""
