"""Into an AKS: whichever kubeconfig Azure gives, the cluster is reached; what is missing is named."""

import re
import threading
import uuid
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ServiceRequestError

from tandem.cli.pull_checks import pull
from tandem.errors import SettingsError, TandemError, Unreachable
from tandem.records import Running
from tandem.seams import Target
from tandem.settings import Settings
from tandem.targets import Given, open_target
from tandem.targets.kubernetes.aks import open_aks
from tandem.targets.kubernetes.arm import Arm, place_of
from tandem.targets.kubernetes.entra import Tokens, cloud
from tandem.targets.kubernetes.target import KubernetesTarget
from tests.azure_double import ARM, CLUSTER, SUBSCRIPTION, Azure
from tests.contracts.kubernetes.aks.conftest import kubeconfig
from tests.kubernetes_cluster import Cluster

Open = Callable[..., Target]


@pytest.mark.parametrize("form", ["exec", "azure"])
def test_where_entra_logs_in_its_token_for_the_server_of_the_kubeconfig_is_the_bearer(
    azure: Azure, cluster: Cluster, writer: None, open_environment: Open, form: str
) -> None:
    azure.server = server = str(uuid.uuid4())  # older clusters have one of their own
    azure.kubeconfig = kubeconfig(cluster, form, server)
    target = open_environment()
    assert (target.state().token, target.running()) == ("", Running((), None))
    assert azure.scopes == [f"{ARM}/.default", f"{server}/.default"]
    assert len(azure.seen) == 1
    assert azure.asked == [f"POST {CLUSTER}/listClusterUserCredential"]


def test_a_local_account_comes_in_by_its_own_certificate(
    azure: Azure, cluster: Cluster, open_environment: Open
) -> None:
    azure.kubeconfig = kubeconfig(cluster, "local")
    assert open_environment().running() == Running((), None)
    assert (azure.scopes, azure.seen) == ([f"{ARM}/.default"], set())


def test_the_role_on_the_cluster_is_named_where_it_is_missing(azure: Azure, open_environment: Open) -> None:
    azure.user_role = False
    with pytest.raises(TandemError, match=r"AuthorizationFailed.*'Azure Kubernetes Service Cluster User Role'") as said:
        open_environment()
    assert f"--scope {CLUSTER}" in str(said.value)


def test_the_role_in_the_namespace_is_named_where_it_is_missing(
    azure: Azure, open_environment: Open, namespace: str
) -> None:
    with pytest.raises(TandemError, match=r"cannot get resource .*'Azure Kubernetes Service RBAC Writer'") as said:
        open_environment().state()
    assert f"--scope {CLUSTER}/namespaces/{namespace}" in str(said.value)


def test_a_cluster_of_another_tenant_says_what_to_do(azure: Azure, open_environment: Open) -> None:
    azure.tenant = False
    with pytest.raises(TandemError, match=r"AKS contoso does not know who is asking: .*'az login --tenant'"):
        open_environment().state()


def test_a_token_that_is_refused_for_a_moment_is_shown_again(
    azure: Azure, writer: None, open_environment: Open
) -> None:
    azure.tenant, target = False, open_environment()
    vouching = threading.Timer(0.5, lambda: setattr(azure, "tenant", True))
    vouching.start()
    assert target.state().token == ""
    vouching.join()


def test_a_check_says_how_to_look_whether_the_nodes_may_pull(
    azure: Azure, writer: None, open_environment: Open, tmp_path: Path, url: str
) -> None:
    open_environment()
    file = tmp_path / "deployments" / "digits" / "app.toml"
    file.write_text(re.sub(r'\nregistry = ".*"', '\nregistry = "contosoml.azurecr.io/digits"', file.read_text()))
    settings = Settings.load("digits", tmp_path)
    target = open_target(settings, "local", Given())
    assert isinstance(target, KubernetesTarget)
    found = pull(settings, "local", target, [])
    assert found.fine is None
    assert "'az aks check-acr --resource-group ml --name contoso --acr contosoml.azurecr.io'" in found.says


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("ml/contosso", "The Resource 'contosso' was not found"),
        ("other/contoso", "Resource group 'other' could not be found"),
    ],
)
def test_a_wrong_name_is_said_with_how_to_find_the_right_one(
    azure: Azure, open_environment: Open, place: str, said: str
) -> None:
    with pytest.raises(TandemError, match=rf"{said}.*az aks list --subscription {SUBSCRIPTION}"):
        open_environment(f"aks://{SUBSCRIPTION}/{place}/production")


@pytest.mark.parametrize("url", ["aks://contoso/ml/contoso/production", f"aks://{SUBSCRIPTION}/ml/contoso"])
def test_what_names_no_place_is_a_mistake_of_app_toml(url: str) -> None:
    with pytest.raises(SettingsError, match="aks://SUBSCRIPTION/GROUP/CLUSTER/NAMESPACE"):
        place_of(url)


def test_a_machine_without_an_identity_is_told_how_to_get_one(
    azure: Azure, open_environment: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AZURE_FEDERATED_TOKEN_FILE")
    with pytest.raises(TandemError, match=r"no Entra token: .*: run 'az login', or set up workload identity"):
        open_environment()


def test_a_busy_resource_manager_is_asked_again(azure: Azure, open_environment: Open, url: str) -> None:
    azure.busy = 1
    assert open_aks(url).location() == "westeurope"
    arm = Arm(azure.address, lambda: "", httpx.Client(), patience=0.1)
    azure.busy = 5
    with pytest.raises(TandemError, match=re.escape(azure.address)):
        arm.location(place_of(url))


def test_a_token_goes_to_nobody_in_plain_text() -> None:
    with pytest.raises(SettingsError, match="a token goes there: write https://"):
        Arm("http://management.example.com", lambda: "secret", httpx.Client())


def test_the_authority_chooses_the_cloud() -> None:
    for host in ("login.chinacloudapi.cn", "https://login.partner.microsoftonline.cn/"):
        assert cloud({"AZURE_AUTHORITY_HOST": host}).manager == "https://management.chinacloudapi.cn"
    assert cloud({"AZURE_AUTHORITY_HOST": "https://login.microsoftonline.us"}).names == "cloudapp.usgovcloudapi.net"
    assert cloud({}).manager == ARM


def test_while_entra_is_away_a_token_serves_as_long_as_it_lives() -> None:
    class Entra:
        away = False

        def get_token(self, *scopes: str, **_: object) -> AccessToken:
            if self.away:
                raise ServiceRequestError("cut")
            return AccessToken(f"token at {now}", now + 1000)

    now, entra = 0, Entra()
    tokens = Tokens(entra, lambda: now)
    assert tokens.token("s", "x") == "token at 0"
    entra.away, now = True, 990
    assert tokens.token("s", "x") == "token at 0"
    entra.away, now = False, 991
    assert tokens.token("s", "x") == "token at 991"
    entra.away, now = True, 2000
    with pytest.raises(Unreachable, match="no Entra token: cut"):
        tokens.token("s", "x")
