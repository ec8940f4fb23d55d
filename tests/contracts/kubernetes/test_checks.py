"""`tandem check` for an environment on the real cluster: what a release would stumble over, and what to do."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from flows import backends
from tandem.cli.cluster_checks import cluster as checks_of
from tandem.settings import Settings
from tests.kubernetes_app import DEPLOYMENT, SERVICE
from tests.kubernetes_cluster import Cluster
from tests.kubernetes_role import role_client

Look = Callable[..., dict[str, tuple[bool | None, str]]]

SCALER = """
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: digits}
spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: digits}, minReplicas: 2, maxReplicas: 4}
"""
TOML = """
[model]
store = "file://models"
name = "digits"
[image]
base = "registry.example.com/python@sha256:{zeros}"
registry = "{registry}"
{credentials}
[environments.staging]
target = "{target}"
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of the app's repository, whose YAML is right."""
    monkeypatch.setenv("HOME", str(tmp_path))
    commit(tmp_path, deployment=DEPLOYMENT, service=SERVICE)
    return tmp_path


def commit(root: Path, **texts: str) -> None:
    folder = root / "deployments" / "digits" / "kubernetes"
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main"]
    for words in (["init", "-q"], ["add", "deployments/digits/kubernetes"], ["commit", "-qm", "YAML", "--allow-empty"]):
        subprocess.run([*git, *words], cwd=root, check=True)


@pytest.fixture
def look(cluster: Cluster, namespace: str, cluster_registry: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> Look:
    """look(namespace=…, role=True, …): each check of the environment by its name: whether fine, and what it says."""

    def looked(
        where: str = namespace, role: bool = False, context: str = cluster.context, more: str = "",
        registry: str = f"{cluster_registry}/digits", credentials: str = "",
    ) -> dict[str, tuple[bool | None, str]]:  # fmt: skip
        file = root / "kubeconfig"
        document = yaml.safe_load(cluster.kubeconfig.read_text())
        if role:
            token = role_client(cluster, namespace).configuration.api_key["authorization"].removeprefix("Bearer ")
            document["users"] = [{**each, "user": {"token": token}} for each in document["users"]]
        file.write_text(yaml.safe_dump(document))
        monkeypatch.setenv("KUBECONFIG", str(file))
        target = f"kubernetes://{context}/{where}"
        text = TOML.format(zeros="0" * 64, registry=registry, credentials=credentials, target=target)
        (root / "deployments" / "digits" / "app.toml").write_text(f"{text}{more}\n")
        found = checks_of(backends, Settings.load("digits", root), "staging")
        return {each.what.removeprefix("staging: "): (each.fine, each.says) for each in found}

    return looked


def test_all_is_well_with_exactly_the_role_that_the_docs_give(
    look: Look, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCOUNT", "tandem:S3CR3T")
    found = look(role=True, more="pull_secret = true", credentials='credentials = { env = "ACCOUNT" }')
    assert all(fine for fine, _ in found.values())
    assert " answers: Kubernetes v1." in found["cluster"][1]
    assert found["namespace"][1] == f"{namespace} is there"
    assert found["YAML"][1].startswith("2 objects at ")
    assert found["permissions"][1] == "all that a release needs"
    assert found["pull"][1] == "each release writes Secret/tandem-pull-digits from [image] credentials"


def test_a_registry_that_asks_for_no_login_needs_no_secret(look: Look) -> None:
    fine, says = look()["pull"]
    assert (fine, says.endswith("asks for no login")) == (True, True)


def test_a_context_that_nobody_knows_is_said_and_nothing_more_is_asked(look: Look) -> None:
    found = look(context="elsewhere")
    assert list(found) == ["cluster"]
    assert found["cluster"][0] is False
    assert "'kubectl config get-contexts' lists those there are" in found["cluster"][1]


@pytest.mark.parametrize("role", [True, False])
def test_a_namespace_that_is_not_there_is_said_with_how_to_make_it(look: Look, role: bool) -> None:
    found = look("test-absent", role)
    fine, says = found["namespace"]
    if role:  # whoever has rights in another namespace only is told that
        assert (fine, says) == (None, "whether test-absent is there, this identity may not ask")
        assert found["permissions"][1].startswith("missing: ")
    else:
        assert (fine, says.endswith("'kubectl create namespace test-absent'")) == (False, True)


def test_permissions_that_are_missing_are_named(look: Look, root: Path, cluster: Cluster, namespace: str) -> None:
    commit(root, claim="apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: models}\n")
    fine, says = look(role=True)["permissions"]
    assert fine is False
    assert says.startswith("missing: create persistentvolumeclaims, delete persistentvolumeclaims, ")
    assert says.endswith("the Role in docs/kubernetes-role.yaml grants it")


def test_only_the_trial_of_pods_may_be_missing(look: Look, root: Path, cluster: Cluster, namespace: str) -> None:
    look(role=True)
    rules = yaml.safe_load(cluster.kubectl("-n", namespace, "get", "role", "tandem", "-o", "yaml"))
    rules["rules"] = [each for each in rules["rules"] if (each["resources"], each["verbs"]) != (["pods"], ["create"])]
    cluster.kubectl("-n", namespace, "replace", "-f", "-", given=yaml.safe_dump(rules))
    found = checks_of(backends, Settings.load("digits", root), "staging")
    (permissions,) = [each for each in found if each.what == "staging: permissions"]
    assert permissions.fine is None
    assert "no pod is tried before a release" in permissions.says


def test_yaml_that_is_wrong_is_said_with_its_file(look: Look, root: Path) -> None:
    commit(root, service="kind: Service\n")
    fine, says = look()["YAML"]
    assert (fine, "service.yaml: apiVersion, kind and metadata.name must each be a text" in says) == (False, True)


def test_replicas_that_an_autoscaler_owns_are_said(look: Look, root: Path, cluster: Cluster, namespace: str) -> None:
    said = "Deployment/digits's replicas belong to {} and are not applied: leave them out"
    assert "replicas" not in look()
    cluster.kubectl("-n", namespace, "apply", "-f", "-", given=SCALER)
    fine, says = look()["replicas"]
    assert (fine, says.endswith(said.format("an autoscaler that is in the namespace"))) == (None, True)
    commit(root, scaler=SCALER)
    assert look()["replicas"][1].endswith(said.format("HorizontalPodAutoscaler/digits"))


def test_whether_the_cluster_could_pull_is_said(look: Look, root: Path, cluster: Cluster, namespace: str) -> None:
    fine, says = look(registry="oci:.tandem/registry/digits")["pull"]
    assert (fine, "name one that the cluster reaches" in says) == (False, True)
    fine, says = look(registry="contoso.azurecr.io/digits")["pull"]
    assert (fine, "an identity of the nodes" in says) == (None, True)
    secret = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: default}\nimagePullSecrets: [{name: regcred}]\n"
    commit(root, account=secret)
    fine, says = look()["pull"]
    assert (fine, "Secret/regcred, and it is not there: 'kubectl" in says) == (False, True)
    words = ("create", "secret", "docker-registry", "regcred", "--docker-server=x", "--docker-username=x")
    cluster.kubectl("-n", namespace, *words, "--docker-password=x")
    assert look()["pull"] == (True, "by Secret/regcred")
    assert look(role=True)["pull"] == (None, "by Secret/regcred, which this identity may not look for")
