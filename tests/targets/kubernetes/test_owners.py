"""The part of an object that Tandem applied, and what is taken over from people's tools."""

from tandem.targets.kubernetes import owners
from tandem.targets.kubernetes.objects import Json

BODY: Json = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "a", "labels": {"x": "1", "y": "2"}, "generation": 4},
    "spec": {
        "replicas": 3,
        "template": {"spec": {"containers": [{"name": "app", "image": "i", "env": [{"name": "E", "value": "v"}]}]}},
        "finalizers": ["a", "b"],
    },
}


def entry(manager: str, fields: Json, operation: str = "Apply", version: str = "apps/v1", **more: str) -> Json:
    return {"manager": manager, "operation": operation, "apiVersion": version, "fieldsV1": fields, **more}


def owned(*entries: Json) -> Json:
    return {**BODY, "metadata": {**BODY["metadata"], "managedFields": list(entries)}}


CONTAINER = {'k:{"name":"app"}': {".": {}, "f:name": {}, "f:image": {}}}
FIELDS: Json = {
    "f:metadata": {"f:labels": {"f:x": {}}},
    "f:spec": {"f:template": {"f:spec": {"f:containers": CONTAINER}}, "f:finalizers": {'v:"b"': {}}},
}


def test_what_tandem_applied_is_the_fields_it_owns_and_no_more() -> None:
    assert owners.applied(owned(entry("kubectl", FIELDS), entry("tandem", FIELDS))) == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "a", "labels": {"x": "1"}},
        "spec": {
            "template": {"spec": {"containers": [{"name": "app", "image": "i"}]}},
            "finalizers": ["b"],
        },
    }
    assert owners.applied(owned(entry("kubectl", FIELDS))) is None


def test_peoples_fields_become_tandems_and_controllers_stay_theirs() -> None:
    hpa = entry("kube-controller-manager", {"f:spec": {"f:replicas": {}}}, "Update", subresource="scale")
    other = entry("night-shift", {"f:spec": {"f:paused": {}}}, "Update")
    old = entry("kubectl-edit", {"f:spec": {"f:old": {}}}, "Update", version="apps/v1beta1")
    mine, *kept = owners.taken_over(
        owned(hpa, entry("kubectl-client-side-apply", FIELDS, "Update"), entry("tandem", {"f:a": {}}), other, old)
    )
    assert kept == [hpa, other, old]
    assert (mine["manager"], mine["operation"]) == ("tandem", "Apply")
    assert mine["fieldsV1"] == {**FIELDS, "f:a": {}}


def test_replicas_that_the_yaml_drops_stay_as_many_as_there_are() -> None:
    body: Json = {"kind": "Deployment", "spec": {}}
    applied = owned(entry("tandem", {"f:spec": {"f:replicas": {}}}))
    assert owners.keeping_replicas(body, applied)["spec"] == {"replicas": 3}
    assert owners.keeping_replicas({"spec": {"replicas": 1}}, applied)["spec"] == {"replicas": 1}
    assert owners.keeping_replicas(body, owned(entry("tandem", {}))) == body
    assert owners.keeping_replicas(body, None) == body


def test_status_versions_and_how_many_are_no_edit() -> None:
    other = {**BODY, "status": {"x": 1}, "spec": {**BODY["spec"], "replicas": 9}}
    other["metadata"] = {**BODY["metadata"], "generation": 5, "resourceVersion": "7", "finalizers": ["cloud"]}
    assert owners.mark(BODY) == owners.mark(other) != owners.mark({**BODY, "spec": {}})
