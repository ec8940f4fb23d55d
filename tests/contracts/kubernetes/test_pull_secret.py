"""`pull_secret = true`: the cluster pulls from a registry behind a login, and nobody reads the login elsewhere."""

import base64
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tandem.errors import ReleaseFailed, SettingsError
from tandem.image_config import config_bytes, config_of
from tandem.images.base import copy_layers
from tandem.manifests import CONFIG, blob_of
from tandem.records import Image, ImageManifest
from tandem.registries import open_registry
from tandem.registries.login import Account
from tandem.settings import Settings
from tandem.targets.kubernetes.cluster import Cluster
from tandem.targets.kubernetes.pull_secret import PullSecret
from tandem.targets.kubernetes.target import KubernetesTarget
from tandem.targets.kubernetes.wishes import Wishes, wishes
from tests.contracts.registries.conftest import acr, repository
from tests.contracts.registries.entra import refresh_token
from tests.contracts.targets.conftest import make_image
from tests.kubernetes_app import DEPLOYMENT, app_files
from tests.kubernetes_cluster import Cluster as RealCluster
from tests.kubernetes_role import role_client

__all__ = ["acr", "make_image", "repository"]

USER = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def kind() -> str:
    """For make_image."""
    return "kubernetes"


@pytest.fixture
def password(acr: str) -> str:
    """Of the account that may pull."""
    return refresh_token(acr, "pull")


@pytest.fixture
def image(make_image: Callable[..., Image], acr: str, repository: str, tmp_path: Path) -> Image:
    """An image of the app in the registry that asks for a login."""
    made = make_image("v1")
    there = open_registry(f"{acr}/{repository}", tmp_path, Account(USER, refresh_token(acr, "push")))
    config = there.write(blob_of(config_bytes(config_of(made)), "config.json"), CONFIG)
    manifest = ImageManifest(config, copy_layers(made, there))
    return Image(there, there.put(manifest, "v1").digest, manifest)


@pytest.fixture
def target(cluster: RealCluster, namespace: str, acr: str, repository: str, password: str) -> KubernetesTarget:
    """An environment with a pull secret, as the Role of docs/kubernetes-role.yaml lets it be."""
    there = Cluster(role_client(cluster, namespace), namespace, cluster.context)
    wish = Wishes(PullSecret("digits", acr, lambda: (USER, password)))
    return KubernetesTarget(there, "digits", "local", f"{acr}/{repository}", lambda commit: app_files(), wish)


def secret(cluster: RealCluster, namespace: str) -> str:
    words = ("-n", namespace, "get", "secret", "tandem-pull-digits", "--ignore-not-found", "-o", "json")
    return cluster.kubectl(*words)


def test_the_cluster_pulls_with_the_secret_and_the_secret_is_nowhere_else(
    cluster: RealCluster, namespace: str, target: KubernetesTarget, image: Image, acr: str, password: str
) -> None:
    shown = "\n".join(target.preview(image))
    assert secret(cluster, namespace) == ""
    said = [each.message for each in target.roll_out(image, target.state())]
    assert target.running().digests == (image.digest,)
    made = json.loads(secret(cluster, namespace))
    assert (made["type"], made["metadata"]["labels"]) == (
        "kubernetes.io/dockerconfigjson",
        {"tandem.dev/environment": "digits.local"},
    )
    config = json.loads(base64.b64decode(made["data"][".dockerconfigjson"]))
    assert base64.b64decode(config["auths"][acr]["auth"]).decode() == f"{USER}:{password}"
    list(target.finish(image))
    assert secret(cluster, namespace)  # it is no object of the app's, to be tidied up
    kept = cluster.kubectl("-n", namespace, "get", "configmap,deployment,service,event,pod", "-o", "json")
    for text in (shown, *said, str(target.snapshot()), kept, repr(target.wishes)):
        assert password not in text
        assert config["auths"][acr]["auth"] not in text


def test_without_it_the_cluster_may_not_pull_which_is_the_environments_fault(
    target: KubernetesTarget, image: Image
) -> None:
    target.wishes = Wishes()
    with pytest.raises(ReleaseFailed, match="the cluster may not pull the image") as failed:
        list(target.roll_out(image, target.state()))
    assert failed.value.fault == "environment"


def test_a_secret_that_the_node_hears_of_after_its_first_pull_fails_no_release(
    cluster: RealCluster, namespace: str, target: KubernetesTarget, image: Image
) -> None:
    late, target.wishes = target.wishes.pull_secret, Wishes()
    assert late is not None
    named = "      imagePullSecrets: [{name: tandem-pull-digits}]\n      containers:"
    deployment = DEPLOYMENT.replace("      containers:", named)
    target.files = lambda commit: app_files(deployment)
    selected = "jsonpath={.items[?(@.reason=='Failed')].message}"

    def heard() -> None:
        deadline = time.monotonic() + 120
        while "Failed to pull" not in cluster.kubectl("-n", namespace, "get", "events", "-o", selected):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        late.write(target.cluster, target.label)

    writing = threading.Thread(target=heard)
    writing.start()
    list(target.roll_out(image, target.state()))
    writing.join()
    assert target.running().digests == (image.digest,)


def test_a_first_release_that_is_taken_back_takes_its_secret_with_it(
    cluster: RealCluster, namespace: str, target: KubernetesTarget, image: Image
) -> None:
    before = target.snapshot()
    list(target.roll_out(image, target.state()))
    list(target.restore(before, target.state()))
    assert secret(cluster, namespace) == ""


def test_a_secret_that_somebody_else_made_is_not_touched(
    cluster: RealCluster, namespace: str, target: KubernetesTarget, image: Image
) -> None:
    words = ("create", "secret", "docker-registry", "tandem-pull-digits", "--docker-server=other")
    cluster.kubectl("-n", namespace, *words, "--docker-username=theirs", "--docker-password=theirs")
    before = secret(cluster, namespace)
    with pytest.raises(ReleaseFailed, match=r"Secret/tandem-pull-digits in .* is somebody else's") as failed:
        list(target.roll_out(image, target.state()))
    assert failed.value.fault == "environment"
    list(target.restore(target.snapshot(), target.state()))
    assert secret(cluster, namespace) == before


def test_an_account_that_is_not_where_app_toml_says_fails_before_anything_changes(
    target: KubernetesTarget, image: Image
) -> None:
    def account() -> tuple[str, str]:
        raise SettingsError("image.credentials: the environment variable ACCOUNT is not set here")

    target.wishes = Wishes(PullSecret("digits", "registry.example.com", account))
    with pytest.raises(ReleaseFailed, match=r"^Secret/tandem-pull-digits: .* ACCOUNT is not set here$") as failed:
        list(target.roll_out(image, target.state()))
    assert (failed.value.fault, target.snapshot().content) == ("environment", {})


def test_a_pull_secret_without_an_account_is_a_mistake_of_app_toml(tmp_path: Path) -> None:
    folder = tmp_path / "deployments" / "digits"
    folder.mkdir(parents=True)
    (folder / "app.toml").write_text("""
[model]
store = "file://models"
name = "digits"
[image]
registry = "registry.example.com/digits"
[environments.staging]
target = "kubernetes://anywhere/staging"
pull_secret = true
""")
    settings = Settings.load("digits", tmp_path)
    with pytest.raises(SettingsError, match=r"environments.staging.pull_secret: there is no account .*--attach-acr"):
        wishes(settings, "staging", None)
    found = wishes(settings, "staging", lambda: ("tandem", "S3CR3T")).pull_secret
    assert found is not None
    assert found.host == "registry.example.com"
    assert "S3CR3T" not in repr(found)
