"""The sample app's Kubernetes YAML, as kubectl takes it, where Pod Security "restricted" is enforced."""

from pathlib import Path

import pytest
import yaml

from tests.kubernetes_cluster import Cluster

FOLDER = Path(__file__).parents[3] / "deployments" / "digits" / "kubernetes"
ASKED = ("--dry-run=server", "--validate=strict", "-f")


@pytest.fixture
def restricted(cluster: Cluster, namespace: str) -> str:
    cluster.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    return namespace


def objects() -> dict[str, dict[str, object]]:
    found = [each for file in FOLDER.glob("*.yaml") for each in yaml.safe_load_all(file.read_text())]
    return {each["kind"]: each for each in found}


def test_kubectl_takes_the_folder_as_it_is_and_every_field_is_known(cluster: Cluster, restricted: str) -> None:
    taken = cluster.kubectl("-n", restricted, "apply", *ASKED, str(FOLDER), "-o", "name").split()
    assert {name.partition("/")[0].partition(".")[0] for name in taken} == {kind.lower() for kind in objects()}


def test_its_pods_pass_pod_security_restricted(cluster: Cluster, restricted: str) -> None:
    cluster.kubectl("-n", restricted, "apply", "-f", str(FOLDER / "serviceaccount.yaml"))
    template = objects()["Deployment"]["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", **template, "metadata": {"name": "tried", **template["metadata"]}}
    assert "pod/tried" in cluster.kubectl("-n", restricted, "create", *ASKED, "-", "-o", "name", given=yaml.dump(pod))


def test_a_pod_has_the_time_that_its_drain_takes() -> None:
    """The preStop hook's sleep and gunicorn's graceful_timeout fit into the grace period."""
    pod = objects()["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    slept = int(container["lifecycle"]["preStop"]["exec"]["command"][-1].split()[-1])
    settings = (FOLDER.parents[2] / "app" / "gunicorn.conf.py").read_text()
    (graceful,) = (int(line.split("=")[1]) for line in settings.splitlines() if line.startswith("graceful_timeout"))
    assert slept >= 5 and slept + graceful < pod["terminationGracePeriodSeconds"]
