"""An AKS as Azure's doubles and the real cluster make it: `azure`, `url`, `open_environment`."""

import base64
import fcntl
import os
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tandem.seams import Target
from tandem.settings import Settings
from tandem.targets import Given, open_target
from tests.azure_double import SERVER, SUBSCRIPTION, Azure, serve
from tests.contracts.registries.conftest import repository
from tests.contracts.targets.conftest import make_image
from tests.kubernetes_app import app_files
from tests.kubernetes_cluster import Cluster
from tests.kubernetes_role import bind_role

__all__ = ["make_image", "repository"]

Open = Callable[..., Target]


@pytest.fixture
def kind() -> str:
    """For make_image."""
    return "kubernetes"


@pytest.fixture(scope="module")
def doubles(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azure]:
    """The doubles, once a machine: other test processes wait. No test here ends a part of the cluster."""
    if cluster.folder is None:
        pytest.skip("a cluster that is not the tests' own asks somebody else about Entra's tokens: unset KUBECONFIG")
    folder = tmp_path_factory.mktemp("azure")
    key, certificate = folder / "key.pem", folder / "cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
                    "-keyout", key, "-out", certificate], check=True, capture_output=True)  # fmt: skip
    with Path(cluster.in_use.name).with_name("port-6444.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        azure = Azure("", certificate)
        end = serve(azure, certificate, key)
        yield azure
        end()


@pytest.fixture
def azure(doubles: Azure, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Azure:
    """The doubles as good as new, an AKS with Entra in them, and this machine a pod with a workload identity."""
    fresh = Azure(doubles.address, doubles.certificate)
    vars(doubles).update(vars(fresh) | {"kubeconfig": kubeconfig(cluster, "exec")})
    (tmp_path / "federated").write_text(doubles.federated)
    for name, value in {
        "AZURE_AUTHORITY_HOST": doubles.address,
        "AZURE_RESOURCE_MANAGER_ENDPOINT": doubles.address,
        "AZURE_TENANT_ID": "contoso",
        "AZURE_CLIENT_ID": str(uuid.uuid4()),
        "AZURE_FEDERATED_TOKEN_FILE": str(tmp_path / "federated"),
        "AZURE_TOKEN_CREDENTIALS": "WorkloadIdentityCredential",
        "SSL_CERT_FILE": str(doubles.certificate),
        "REQUESTS_CA_BUNDLE": str(doubles.certificate),
    }.items():
        monkeypatch.setenv(name, value)
    return doubles


def kubeconfig(cluster: Cluster, form: str, server: str = SERVER) -> str:
    """What listClusterUserCredential gives, base64: "exec", "azure" (older), or "local" for a local account."""
    document = yaml.safe_load(cluster.kubeconfig.read_text())
    plugin = {"apiVersion": "client.authentication.k8s.io/v1beta1", "command": "kubelogin", "provideClusterInfo": False}
    arguments = ["get-token", "--environment", "AzurePublicCloud", "--server-id", server, "--login", "devicecode"]
    users = {
        "exec": {"exec": {**plugin, "args": arguments, "env": None}},
        "azure": {"auth-provider": {"name": "azure", "config": {"apiserver-id": server, "config-mode": "1"}}},
    }
    if form in users:
        document["users"] = [{**each, "user": users[form]} for each in document["users"]]
    return base64.b64encode(yaml.safe_dump(document).encode()).decode()


@pytest.fixture
def url(namespace: str) -> str:
    """The environment's target."""
    return f"aks://{SUBSCRIPTION}/ml/contoso/{namespace}"


@pytest.fixture
def writer(cluster: Cluster, namespace: str, azure: Azure) -> None:
    """The identity at hand may release into the namespace."""
    bind_role(cluster, namespace, {"kind": "User", "name": os.environ["AZURE_CLIENT_ID"]})


@pytest.fixture
def open_environment(
    url: str, azure: Azure, cluster_registry: str, repository: str, tmp_path: Path
) -> Callable[..., Target]:
    """open_environment(target=…, more=…): the target that app.toml names, with more lines for the environment."""

    def opened(target: str = url, more: str = "", given: Given | None = None) -> Target:
        folder = tmp_path / "deployments" / "digits"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "app.toml").write_text(f"""
[model]
store = "file://models"
name = "digits"
[image]
base = "{cluster_registry}/bases/python@sha256:{"0" * 64}"
registry = "{cluster_registry}/{repository}"
[environments.local]
target = "{target}"
{more}
""")
        given = given or Given(files=lambda commit: app_files())
        return open_target(Settings.load("digits", tmp_path), "local", given)

    return opened
