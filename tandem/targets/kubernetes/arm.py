"""Azure Resource Manager, as far as a release needs it: a cluster's kubeconfig, and where the cluster is.

https://learn.microsoft.com/rest/api/aks/managed-clusters/list-cluster-user-credentials
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from tandem.errors import SettingsError, Unreachable
from tandem.targets.kubernetes.objects import Json
from tandem.targets.kubernetes.refusal import ApiRefused

VERSION = "2024-09-01"  # of the service
USER_ROLE = "Azure Kubernetes Service Cluster User Role"
PATIENCE = 60.0  # seconds
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
PLACE = re.compile(
    r"aks://(?P<subscription>[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})/(?P<group>[-\w.()]{1,90})"
    r"/(?P<cluster>[a-zA-Z0-9](?:[-_a-zA-Z0-9]{0,61}[a-zA-Z0-9])?)/(?P<namespace>[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?)"
)


@dataclass(frozen=True)
class Place:
    """A namespace of an AKS cluster."""

    subscription: str
    group: str
    cluster: str
    namespace: str

    @property
    def id(self) -> str:
        """The cluster's resource id."""
        return (
            f"/subscriptions/{self.subscription}/resourceGroups/{self.group}"
            f"/providers/Microsoft.ContainerService/managedClusters/{self.cluster}"
        )


def place_of(url: str) -> Place:
    """What `aks://SUBSCRIPTION/GROUP/CLUSTER/NAMESPACE` names. Raises SettingsError."""
    found = PLACE.fullmatch(url)
    if found is None:
        raise SettingsError(
            f"{url!r} names no place: aks://SUBSCRIPTION/GROUP/CLUSTER/NAMESPACE, the subscription by its id: "
            "'az account show --query id' and 'az aks list --output table' say them"
        )
    return Place(**found.groupdict())


@dataclass(frozen=True)
class Arm:
    """Every method raises ApiRefused where Azure says no, Unreachable where it does not answer in `patience` seconds.

    `token` gives a bearer token, which goes to `address` alone.
    """

    address: str
    token: Callable[[], str]
    client: httpx.Client
    patience: float = PATIENCE

    def __post_init__(self) -> None:
        url = httpx.URL(self.address)
        if url.scheme != "https" and url.host not in LOOPBACK:
            raise SettingsError(f"AZURE_RESOURCE_MANAGER_ENDPOINT: {self.address}: a token goes there: write https://")

    def kubeconfig(self, place: Place) -> str:
        """The cluster's kubeconfig, YAML, base64: of a local account, or naming kubelogin where Entra logs in."""
        found = self._ask("POST", f"{place.id}/listClusterUserCredential", place, format="exec")
        return str(found["kubeconfigs"][0]["value"])

    def location(self, place: Place) -> str:
        """The cluster's region, as "westeurope"."""
        return str(self._ask("GET", place.id, place)["location"])

    def _ask(self, method: str, path: str, place: Place, **query: str) -> Json:
        until, pause = time.monotonic() + self.patience, 0.5
        while True:
            try:
                return self._once(method, path, place, {"api-version": VERSION, **query})
            except Unreachable as error:
                pause = min(error.retry_after or pause, 30.0)
                if time.monotonic() + pause > until:
                    raise
            time.sleep(pause)
            pause *= 2

    def _once(self, method: str, path: str, place: Place, query: dict[str, str]) -> Json:
        what, headers = f"AKS {place.cluster}: {self.address}", {"Authorization": f"Bearer {self.token()}"}
        try:
            response = self.client.request(method, f"{self.address}{path}", params=query, headers=headers)
        except httpx.HTTPError as error:
            raise Unreachable(f"{what}: {type(error).__name__}: {error}") from None
        document = _document(response)
        said = _said(document)
        if response.status_code == 429 or response.status_code >= 500:
            wait = response.headers.get("Retry-After", "")
            raise Unreachable(
                f"{what} answered {response.status_code}: {said}", float(wait) if wait.isdigit() else None
            )
        if response.status_code != 200:
            raise ApiRefused(response.status_code, f"{what}: {said}: {_remedy(response.status_code, place)}")
        return document


def _document(response: httpx.Response) -> Json:
    try:
        found: Any = response.json()
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}


def _said(document: Json) -> str:
    error: Any = document.get("error")
    return f"{error.get('code')}: {error.get('message')}"[:400] if isinstance(error, dict) else "it does not say why"


def _remedy(status: int, place: Place) -> str:
    if status == 403:
        return (
            f"this identity needs the role {USER_ROLE!r} on the cluster: az role assignment create --role "
            f'"{USER_ROLE}" --assignee-object-id ID --assignee-principal-type ServicePrincipal --scope {place.id}'
        )
    if status == 404:
        return (
            f"correct the environment's target; az aks list --subscription {place.subscription} --output table "
            "lists the clusters that this identity sees"
        )
    if status == 401:
        return "the token is of another tenant or cloud: 'az login --tenant', AZURE_TENANT_ID, or AZURE_AUTHORITY_HOST"
    return "see the target in app.toml"
