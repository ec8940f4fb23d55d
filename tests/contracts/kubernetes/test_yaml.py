"""A mistake in the app's YAML is named by file, document and field before anything is changed."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from tandem.errors import ReleaseFailed
from tandem.targets.kubernetes.objects import File, Json, Ref
from tests.contracts.kubernetes.place import Place, as_it_is, begin, bring_in, container_of, quick, service

FOLDER = "deployments/digits/kubernetes/"
MORE = f"{FOLDER}more.yaml"
Change = Callable[[Json], Any]


def config_map(more: str = "", name: str = "rules", kind: str = "ConfigMap") -> str:
    return f"apiVersion: v1\nkind: {kind}\nmetadata: {{name: {name}}}\n{more}\n"


MISTAKES = {
    "unknown field": ("data: {}\nsped: 1", r"more.yaml, document 2: ConfigMap/rules is refused: .*\.sped: field not"),
    "not YAML": ("a: [", "more.yaml: not YAML: .*line 11"),
    "a key twice": ("data: {}\ndata: {}", "more.yaml: not YAML: the key 'data' stands twice.*line 11"),
    "a wrong name": ("", "more.yaml, document 2: ConfigMap/Rules! is refused: metadata.name: Invalid value"),
    "a secret": ("", "more.yaml, document 2: a Secret's data does not belong in a repository"),
    "another namespace": ("metadata: {name: a, namespace: kube-system}", "document 2: metadata.namespace is kube-sys"),
    "a number as text": ("data: {a: 1}", "document 2: ConfigMap/rules is refused: .*string"),
    "the whole cluster's": ("", "document 2: Namespace/rules belongs to the whole cluster"),
    "stands twice": ("---\n" + config_map(), "document 3: ConfigMap/rules stands in .*more.yaml, document 2 too"),
    "no object": ("---\njust words", "document 3: an object of Kubernetes is a mapping, this is a str"),
    "labels": ("metadata: {name: a, labels: [b]}", "document 2: metadata.labels must be a mapping"),
}
NAMED = {
    "a wrong name": ("Rules!", "ConfigMap"),
    "a secret": ("rules", "Secret"),
    "the whole cluster's": ("rules", "Namespace"),
}


def document(name: str) -> str:
    more = MISTAKES[name][0]
    text = config_map(more, *NAMED.get(name, ()))
    return text.replace("metadata: {name: rules}\n", "", 1) if more.startswith("metadata") else text


def refused(place: Place, files: list[File]) -> ReleaseFailed:
    target, place.files = place.target(), files
    with pytest.raises(ReleaseFailed) as failed:
        list(target.roll_out(place.image("v1"), target.state()))
    assert target.state().token == ""
    for kind in ("deployments", "services", "configmaps"):
        names = place.kubectl("get", kind, "-o", "name").split()
        assert names == (["configmap/kube-root-ca.crt"] if kind == "configmaps" else [])
    return failed.value


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_and_nothing_is_changed(shared: Place, name: str) -> None:
    text = f"# rules\n{config_map(name='first')}---\n{document(name)}"
    failure = refused(shared, [quick(), service(), File(MORE, text.encode())])
    assert failure.fault == "candidate"
    assert re.search(f"(?s){MISTAKES[name][1]}", failure.reason), failure.reason
    assert MORE in failure.reason


def _unknown(body: Json) -> None:
    container_of(body)["imagePullPolicies"] = "Always"


def _invalid(body: Json) -> None:
    container_of(body)["imagePullPolicy"] = "Sometimes"
    body["spec"]["replicas"] = -1


def _strange(body: Json) -> None:
    container_of(body)["image"] = "redis"


WORKLOADS: dict[str, tuple[Change, str]] = {
    "unknown": (_unknown, r"digits.yaml: Deployment/digits is refused: .*containers.*imagePullPolicies"),
    "invalid": (
        _invalid,
        r"spec.template.spec.containers\[0\].imagePullPolicy: .*spec.replicas: |spec.replicas: .*Policy",
    ),
    "not the app's": (_strange, r"digits.yaml: no container is the app's \(redis\): write image: digits"),
    "no containers": (lambda b: b["spec"]["template"]["spec"].pop("containers"), "spec.template.spec.containers"),
    "of a set": (lambda b: b.update(kind="StatefulSet"), "a StatefulSet is not rolled out; use a Deployment"),
    "a kind": (lambda b: b.update(kind="Deploymint"), r"knows no kind Deploymint in apps/v1|no Kubernetes Deployment"),
}


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_mistake_in_the_deployment_is_named_and_nothing_is_changed(shared: Place, name: str) -> None:
    change, reason = WORKLOADS[name]
    failure = refused(shared, [quick(change), service()])
    assert failure.fault == "candidate"
    assert re.search(f"(?s){reason}", failure.reason), failure.reason
    assert failure.reason.count("imagePullPolicy:") <= 1


def test_without_a_deployment_there_is_nothing_to_release(shared: Place) -> None:
    assert "no Kubernetes Deployment in the app's YAML" in refused(shared, [service()]).reason
    assert "put the app's objects into" in refused(shared, []).reason


def test_every_mistake_is_named_at_once(shared: Place) -> None:
    text = config_map("sped: 1") + "---\n" + config_map("sped: 1", name="second")
    reason = refused(shared, [quick(_unknown), service(), File(MORE, text.encode())]).reason
    assert reason.count("\n") == 2 and "rules" in reason and "second" in reason and "imagePullPolicies" in reason


def test_a_kind_that_the_cluster_may_learn_is_the_environments_fault(shared: Place) -> None:
    text = "apiVersion: example.com/v1\nkind: Wish\nmetadata: {name: a}\n"
    failure = refused(shared, [quick(), File(MORE, text.encode())])
    assert failure.fault == "environment" and "knows no kind Wish in example.com/v1" in failure.reason


def test_a_preview_shows_each_field_that_changes_and_changes_nothing(place: Place) -> None:
    bring_in(place.target(), one := place.image("v1"), "r-1")
    before, state = as_it_is(place), place.target().state()
    more = File(MORE, config_map("data: {a: b}").encode())
    place.files = (quick(lambda b: container_of(b).update(workingDir="/tmp")), service(), more)
    said = place.target().preview(two := place.image("v2"))
    path = "Deployment/digits spec.template.spec.containers[app]"
    assert f'{path}.workingDir: nothing → "/tmp"' in said
    assert f'{path}.image: "{place.where}@{one.digest}" → "{place.where}@{two.digest}"' in said
    assert "ConfigMap/rules: new" in said
    assert not any("status" in line or "managedFields" in line for line in said)
    assert (as_it_is(place), place.target().state()) == (before, state)
    assert place.api().get(Ref("v1", "ConfigMap", "rules")) is None


def test_an_environments_own_folder_takes_an_objects_place(shared: Place) -> None:
    folder = quick(lambda b: b["spec"].update(replicas=3))
    own = File(f"{FOLDER}local/digits.yaml", quick(lambda b: b["spec"].update(replicas=2)).content, overlay=True)
    shared.files = (folder, service(), own)
    target = shared.target()
    state = begin(target, image := shared.image("v1"), "r-1")
    list(target.roll_out(image, state))
    found = json.loads(shared.kubectl("get", "deployment", "digits", "-o", "json"))
    assert found["spec"]["replicas"] == 2
