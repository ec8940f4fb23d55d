"""Whose an object and each field of it is: what others made or scale is left alone until somebody says otherwise."""

import json

import pytest

from tandem.errors import Refused, ReleaseFailed
from tandem.targets.kubernetes.objects import File, Ref
from tests.contracts.kubernetes.place import (
    DEPLOYMENT,
    RULES,
    Place,
    as_it_is,
    begin,
    bring_in,
    container_of,
    pods,
    quick,
    rules,
    service,
    take_back,
)

DISK_YAML = b"""
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: disk}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
"""
DISK = File("deployments/digits/kubernetes/disk.yaml", DISK_YAML)
SCALER = {
    "apiVersion": "autoscaling/v2",
    "kind": "HorizontalPodAutoscaler",
    "metadata": {"name": "digits"},
    "spec": {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "digits"},
        "minReplicas": 2,
        "maxReplicas": 5,
        "metrics": [
            {
                "type": "Resource",
                "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}},
            }
        ],
    },
}


def made_by_kubectl(place: Place) -> None:
    """The app as people applied it before Tandem came, with a field that the folder drops now."""
    image = place.image("v0")

    def change(body: dict[str, object]) -> None:
        container_of(body).update(image=f"{place.where}@{image.digest}", env=[{"name": "OLD", "value": "1"}])

    for file in (quick(change), service()):
        place.kubectl("apply", "-f", "-", given=file.content.decode())
    place.kubectl("rollout", "status", "deployment/digits", "--timeout=180s")


def test_what_kubectl_made_stops_a_release_until_it_is_taken_over(place: Place) -> None:
    made_by_kubectl(place)
    target, ran = place.target(), pods(place)
    with pytest.raises(ReleaseFailed, match="kubectl-client-side-apply: 'tandem adopt digits local'") as failed:
        list(target.roll_out(place.image("v1"), target.state()))
    assert failed.value.fault == "environment"
    place.kubectl("set", "env", "deployment/digits", "HAND=1")
    place.kubectl("rollout", "status", "deployment/digits", "--timeout=180s")
    ran = pods(place)

    said = target.adopt()
    assert [line.partition(",")[0] for line in said] == ["Deployment/digits", "Service/digits"]
    assert "kubectl-set" in said[0] and pods(place) == ran
    assert target.adopt() == []
    before = as_it_is(place)

    state = begin(target, place.image("bad", "crash"), "r-0")  # a first release that fails brings back people's own
    with pytest.raises(ReleaseFailed, match="exit code 1") as crashed:
        list(target.roll_out(place.image("bad", "crash"), state))
    take_back(target, state, crashed.value)
    assert (as_it_is(place), pods(place)) == (before, ran)

    bring_in(target, one := place.image("v1"), "r-1")
    container = container_of(json.loads(place.kubectl("get", "deployment", "digits", "-o", "json")))
    assert (container["image"], container.get("env")) == (f"{place.where}@{one.digest}", None)
    assert "last-applied" not in place.kubectl("get", "deployment,service", "-o", "json")


def test_a_field_that_another_sets_is_named_with_who_it_is_until_it_is_taken_over(place: Place) -> None:
    place.files = (quick(lambda b: b["spec"].update(minReadySeconds=0)), rules())
    bring_in(place.target(), image := place.image("v1"), "r-1")
    place.kubectl("patch", "configmap", "rules", "--field-manager=night-shift", "-p", '{"data": {"a": "c"}}')
    with pytest.raises(ReleaseFailed, match=r'rules.yaml: ConfigMap/rules: .*\.data\.a: conflict with "night-shift"'):
        place.target().preview(image)
    place.kubectl("patch", "configmap", "rules", "-p", '{"data": {"a": "d"}}')
    with pytest.raises(ReleaseFailed, match=r'\.data\.a: conflict with "kubectl-patch"') as failed:
        list(place.target().roll_out(image, place.target().state()))
    assert failed.value.fault == "environment"
    place.target().adopt()
    bring_in(place.target(), image, "r-2")
    assert place.kubectl("get", "configmap", "rules", "-o", "jsonpath={.data.a}") == "b"


@pytest.mark.parametrize(
    ("keeper", "marks"),
    [
        ("Argo CD", ["annotate", "argocd.argoproj.io/tracking-id=digits:apps/Deployment:x/digits"]),
        ("Flux", ["label", "kustomize.toolkit.fluxcd.io/name=apps"]),
        ("Argo CD", ["label", "kept=yes", "--field-manager=argocd-controller"]),
        ("Flux", ["label", "kept=yes", "--field-manager=kustomize-controller"]),
    ],
)
def test_what_argo_cd_or_flux_keeps_is_refused_and_not_taken_over(shared: Place, keeper: str, marks: list[str]) -> None:
    shared.kubectl("create", "deployment", "digits", "--image=nowhere/none", "--replicas=0")
    try:
        verb, *words = marks
        shared.kubectl(verb, "deployment", "digits", *words)
        target = shared.target()
        before = as_it_is(shared, DEPLOYMENT)
        with pytest.raises(ReleaseFailed, match=f"Deployment/digits is kept by {keeper}") as failed:
            list(target.roll_out(shared.image("v1"), target.state()))
        assert failed.value.fault == "environment"
        with pytest.raises(Refused, match=f"kept by {keeper}"):
            target.adopt()
        assert as_it_is(shared, DEPLOYMENT) == before
    finally:
        shared.kubectl("delete", "deployment", "digits")


def replicas(place: Place) -> int:
    return int(place.kubectl("get", "deployment", "digits", "-o", "jsonpath={.spec.replicas}"))


def test_how_many_pods_an_autoscaler_wants_is_left_alone(place: Place) -> None:
    """Tandem had applied three; then the autoscaler came, with the YAML's replicas still there, and without."""
    place.files = (quick(lambda b: b["spec"].update(replicas=3)), service())
    bring_in(place.target(), place.image("v1"), "r-1")
    scaler = File("deployments/digits/kubernetes/scaler.yaml", json.dumps(SCALER).encode())
    seen = set()
    place.files = (*place.files, scaler)
    target = place.target()
    state = begin(target, image := place.image("v2"), "r-2")
    for _ in target.roll_out(image, state):
        seen.add(replicas(place))
    assert seen == {3}
    place.kubectl("scale", "deployment", "digits", "--replicas=4")  # as the autoscaler does, by the scale subresource
    failure = ReleaseFailed("no answers", "environment")
    take_back(target, state, failure)
    assert replicas(place) == 3  # the autoscaler came with the release, and is gone again
    assert place.api().get(Ref("autoscaling/v2", "HorizontalPodAutoscaler", "digits")) is None

    bring_in(target, place.image("v2"), "r-3")
    place.kubectl("scale", "deployment", "digits", "--replicas=4")
    place.files = (quick(lambda b: b["spec"].pop("replicas")), service(), scaler)
    state = begin(target, image := place.image("v3"), "r-4")
    list(target.roll_out(image, state))
    assert replicas(place) == 4
    take_back(target, state, failure)
    assert replicas(place) == 4


def test_an_autoscaler_that_somebody_else_made_keeps_what_it_scales(place: Place) -> None:
    bring_in(place.target(), place.image("v1"), "r-1")  # with replicas: 1 in its YAML
    place.kubectl("apply", "-f", "-", given=json.dumps(SCALER))
    place.kubectl("scale", "deployment", "digits", "--replicas=2")  # as it does, within 15 s
    bring_in(place.target(), place.image("v2"), "r-2")
    assert replicas(place) == 2


def test_only_what_tandem_made_and_the_folder_dropped_is_removed(place: Place) -> None:
    target, image = place.target(), place.image("v1")
    place.files = (quick(), service(), rules(), rules("kept"), quick(name="worker"), DISK)
    bring_in(target, image, "r-1")
    place.kubectl("create", "configmap", "another")
    place.kubectl("create", "configmap", "disguised")
    place.kubectl("label", "configmap", "disguised", "tandem.dev/environment=digits.local")
    place.kubectl("annotate", "configmap", "disguised", "tandem.dev/release=r-2")  # as a copy of one has it
    place.files = (quick(), service(), rules("kept"))
    state = begin(target, image, "r-2")
    list(target.roll_out(image, state))
    assert place.api().get(RULES), "nothing goes before the release has verified"
    with pytest.raises(Exception, match="another release has begun"):
        list(target.finish(image))
    take_back(target, state, ReleaseFailed("no answers", "environment"))
    assert place.api().get(RULES)

    bring_in(target, image, "r-3")
    assert ["it stays, for its data" in said.message for said in target.finish(image)] == [True]
    names = place.kubectl("get", "configmap,deployment,persistentvolumeclaim", "-o", "name").split()
    there = {name.partition("/")[2] for name in names} - {"disk"}
    assert len(there) == len(names) - 1
    assert there == {"kube-root-ca.crt", "tandem-digits-local", "another", "disguised", "kept", "digits"}
