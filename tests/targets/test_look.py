"""How far a rollout on Kubernetes is, from what the API says of it."""

from tandem.targets.kubernetes.look import Seen, look
from tandem.targets.kubernetes.objects import Json
from tandem.targets.kubernetes.owners import COUNTED


def replica_set(revision: str, available: int) -> Json:
    owner = {"uid": "u", "controller": True, "name": "digits"}
    metadata = {"name": f"digits-{revision}", "annotations": {COUNTED: revision}, "ownerReferences": [owner]}
    return {"metadata": metadata, "status": {"availableReplicas": available}}


def test_pods_of_the_version_before_do_not_count_as_new_ones_that_are_ready() -> None:
    metadata = {"name": "digits", "uid": "u", "generation": 2, "annotations": {COUNTED: "2"}}
    status = {"observedGeneration": 2, "updatedReplicas": 3, "availableReplicas": 3, "replicas": 6}
    body = {"metadata": metadata, "spec": {"replicas": 3}, "status": status}
    found = look({"digits": body}, Seen([body], [replica_set("1", 3), replica_set("2", 0)], [], [], 1.0), {})
    assert (found.ready, found.total, found.rolled) == (0, 3, False)
    later = look({"digits": body}, Seen([body], [replica_set("1", 3), replica_set("2", 2)], [], [], 2.0), {})
    assert later.ready == 2
