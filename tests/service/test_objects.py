"""deployments/server as kustomize builds it: what every pod of it keeps to. No cluster is needed."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tandem.cli.prepare import read_template, with_job_variables
from tandem.errors import SettingsError

SERVER = Path(__file__).parents[2] / "deployments" / "server"
STRICT = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}


@pytest.fixture(scope="session")
def objects() -> list[dict[str, Any]]:
    """What `kubectl apply -k deployments/server/whole` would apply."""
    own = Path.home() / ".cache" / "tandem" / "bin" / "kubectl"
    kubectl = shutil.which("kubectl") or (own if own.exists() else None)
    if kubectl is None:
        pytest.skip("kubectl is not installed: tests/cluster/up builds one")
    built = subprocess.run([kubectl, "kustomize", SERVER / "whole"], capture_output=True, text=True, check=True)
    return list(yaml.safe_load_all(built.stdout))


def template() -> dict[str, Any]:
    return dict(read_template(SERVER / "base" / "job.yaml", "kubernetes", {}).job)


def pods(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Every pod that may come to be, by whose it is."""
    kept = {o["metadata"]["name"]: o["spec"]["template"] for o in objects if o["kind"] in ("Deployment", "StatefulSet")}
    return kept | {"run": template()["job_configuration"]["job_manifest"]["spec"]["template"]}


def test_every_pod_is_as_restricted_as_pod_security_asks(objects: list[dict[str, Any]]) -> None:
    assert set(pods(objects)) == {"api", "services", "worker", "receiver", "postgres", "redis", "run"}
    for name, pod in pods(objects).items():
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] and spec["securityContext"]["seccompProfile"], name
        assert spec["enableServiceLinks"] is False, name
        for container in (*spec.get("initContainers", ()), *spec["containers"]):
            assert container["securityContext"] == STRICT, (name, container["name"])
            assert "memory" in container["resources"]["limits"] and "cpu" in container["resources"]["requests"], name


def test_no_secret_is_in_the_files_and_only_the_receiver_is_outside(objects: list[dict[str, Any]]) -> None:
    assert not [each for each in objects if each["kind"] in ("Secret", "ClusterRole", "ClusterRoleBinding", "Ingress")]
    outside = [o for o in objects if o["kind"] == "Service" and o["spec"].get("type", "ClusterIP") != "ClusterIP"]
    assert [each["metadata"]["name"] for each in outside] == ["receiver"]


def test_who_asks_kubernetes_nothing_has_no_token(objects: list[dict[str, Any]]) -> None:
    with_token = {n for n, pod in pods(objects).items() if pod["spec"].get("automountServiceAccountToken", True)}
    assert with_token == {"worker", "run"}


def test_each_part_may_be_reached_by_a_policy_that_names_it(objects: list[dict[str, Any]]) -> None:
    policies = {each["metadata"]["name"]: each["spec"] for each in objects if each["kind"] == "NetworkPolicy"}
    assert policies["nothing"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    named = yaml.safe_dump(policies)
    for name, pod in pods(objects).items():
        assert pod["metadata"]["labels"]["tandem.dev/part"] == name and name in named


def test_what_a_run_may_do_depends_on_its_queue() -> None:
    found = read_template(SERVER / "base" / "job.yaml", "kubernetes", {"TANDEM_IMAGE": "i", "TANDEM_NAMESPACE": "n"})
    properties = found.job["variables"]["properties"]
    assert properties["image"]["default"] == "i" and properties["service_account_name"]["default"] == "release"
    entries = [
        {"name": "a", "work_pool": {"name": "tandem", "work_queue_name": "builds"}},
        {"name": "b", "work_pool": {"name": "tandem", "work_queue_name": "builds", "job_variables": {"image": "own"}}},
        {"name": "c", "work_pool": {"name": "tandem", "work_queue_name": "default"}},
    ]
    built = [each["work_pool"] for each in with_job_variables({"deployments": entries}, found.queues)["deployments"]]
    assert built[0]["job_variables"]["service_account_name"] == "integrate"
    assert built[1]["job_variables"] == {**found.queues["builds"], "image": "own"} and "job_variables" not in built[2]


def test_a_run_is_a_job_as_prefect_asks_for_it() -> None:
    """Its worker refuses any other; https://docs.prefect.io/integrations/prefect-kubernetes says which."""
    spec = template()["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]
    assert [each["name"] for each in spec["containers"]] == ["prefect-job"]
    assert (spec["parallelism"], spec["completions"], spec["restartPolicy"]) == (1, 1, "Never")


def test_a_template_that_is_none_is_refused_by_its_name(tmp_path: Path) -> None:
    for content in ("", "[]", "job_configuration: {}", "{"):
        (tmp_path / "job.yaml").write_text(content)
        with pytest.raises(SettingsError, match=r"job\.yaml"):
            read_template(tmp_path / "job.yaml", "kubernetes", {})
