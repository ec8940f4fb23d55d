"""`aks://SUBSCRIPTION/GROUP/CLUSTER/NAMESPACE`: address and CA from Azure Resource Manager, an Entra token as bearer.

Where the kubeconfig names kubelogin, it is never run: its server id is the token's scope, and the token comes from
azure-identity. https://azure.github.io/kubelogin/concepts/aks.html
"""

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import httpx
import yaml
from azure.core.credentials import TokenCredential
from kubernetes.client import ApiClient, Configuration
from kubernetes.config import new_client_from_config_dict
from kubernetes.config.config_exception import ConfigException

from tandem.errors import SettingsError
from tandem.targets.kubernetes.arm import Arm, Place, place_of
from tandem.targets.kubernetes.cluster import Cluster
from tandem.targets.kubernetes.entra import Tokens, cloud
from tandem.targets.kubernetes.refusal import AS_USUAL, Remedy
from tandem.trust import trusted

SERVER = "6dae42f8-4368-4678-94ff-3960e28e3630"  # the AKS server application, the same in every tenant
WRITER = "Azure Kubernetes Service RBAC Writer"
TIMEOUT = httpx.Timeout(30.0, connect=10.0)


@dataclass(frozen=True)
class Aks:
    """A cluster that Azure knows; nothing is asked before it must be."""

    place: Place
    arm: Arm
    tokens: Tokens
    names: str  # what the names of the cloud's load balancers end with

    def location(self) -> str:
        """The cluster's region."""
        return self.arm.location(self.place)

    def connect(self) -> Cluster:
        """The namespace, as this identity sees it. Raises ApiRefused, Unreachable."""
        client = self._client()
        entra = client.configuration.refresh_api_key_hook is not None
        remedy = _remedy(self.place) if entra else AS_USUAL
        return Cluster(client, self.place.namespace, f"AKS {self.place.cluster}", remedy=remedy)

    def _client(self) -> ApiClient:
        what = f"the kubeconfig that Azure gave for {self.place.cluster}"
        read: Any = new_client_from_config_dict  # which has no types
        try:
            document = yaml.safe_load(base64.b64decode(self.arm.kubeconfig(self.place)))
            server = next((found for each in document["users"] if (found := _server(each.get("user") or {}))), None)
            if server is not None:
                document["users"] = [{**each, "user": {}} for each in document["users"]]
            client: ApiClient = read(document, client_configuration=Configuration(), persist_config=False)
        except (ConfigException, yaml.YAMLError, LookupError, TypeError, ValueError, AttributeError) as error:
            raise SettingsError(f"{what} is not understood ({type(error).__name__}): try kubernetes:// with a "
                                "kubeconfig of 'az aks get-credentials'") from None  # fmt: skip
        if server is not None:
            self._renew(client.configuration, f"{server}/.default")
        return client

    def _renew(self, configuration: Any, scope: str) -> None:
        def renew(into: Any) -> None:
            token = self.tokens.token(scope, f"AKS {self.place.cluster}")
            into.api_key["authorization"] = f"Bearer {token}"

        configuration.api_key["authorization"] = ""
        configuration.refresh_api_key_hook = renew  # before every request


def open_aks(url: str, environ: Mapping[str, str] = os.environ, credential: TokenCredential | None = None) -> Aks:
    """The cluster that `url` names, as `credential` or the identity at hand sees it; nobody is asked yet.

    AZURE_AUTHORITY_HOST chooses the cloud, and AZURE_RESOURCE_MANAGER_ENDPOINT another address of its Resource
    Manager. Raises SettingsError.
    """
    place, here = place_of(url), cloud(environ)
    if credential is None:
        from azure.identity import DefaultAzureCredential

        credential = DefaultAzureCredential()
    tokens = Tokens(credential)
    address = environ.get("AZURE_RESOURCE_MANAGER_ENDPOINT", "").rstrip("/") or here.manager
    client = httpx.Client(timeout=TIMEOUT, verify=trusted())
    arm = Arm(address, lambda: tokens.token(f"{here.manager}/.default", f"AKS {place.cluster}"), client)
    return Aks(place, arm, tokens, here.names)


def _server(user: Mapping[str, Any]) -> str | None:
    """The application that the token must be for, where Entra logs in; None for a local account."""
    if plugin := user.get("exec"):
        arguments = [str(each) for each in plugin.get("args") or ()]
        given = [value for name, value in pairwise(arguments) if name == "--server-id"]
        given += [each.partition("=")[2] for each in arguments if each.startswith("--server-id=")]
        return next(iter(given), SERVER)
    if old := user.get("auth-provider"):
        return str((old.get("config") or {}).get("apiserver-id") or SERVER)
    return None


def _remedy(place: Place) -> Remedy:
    scope = f"{place.id}/namespaces/{place.namespace}"
    return Remedy(
        unknown=(
            "the token is of another tenant, or this cluster takes no Entra identities: 'az login --tenant' with the "
            "cluster's, or AZURE_TENANT_ID; 'az aks show --query aadProfile' says which it takes; is this machine's "
            "clock right?"
        ),
        forbidden=(
            f'with Azure RBAC the role {WRITER!r} grants it: az role assignment create --role "{WRITER}" '
            f"--assignee-object-id ID --assignee-principal-type ServicePrincipal --scope {scope}; without, the Role in "
            "docs/kubernetes-role.yaml"
        ),
    )
