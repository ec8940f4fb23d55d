"""What was deleted is waited for until none of its pods takes a request."""

from collections.abc import Sequence

import pytest

from tandem.errors import ReleaseFailed
from tandem.targets.kubernetes.cluster import Cluster
from tandem.targets.kubernetes.gone import gone
from tandem.targets.kubernetes.objects import Json, Ref

APP = Ref("apps/v1", "Deployment", "a")
READY = {"conditions": [{"type": "Ready", "status": "True"}]}


def made_by(uid: str, name: str, **more: object) -> Json:
    return {"metadata": {"name": name, "uid": name, "ownerReferences": [{"uid": uid}]}, **more}


class Said(Cluster):
    """A cluster whose pods are what it is told, one answer after the other; the last one stays."""

    def __init__(self, *pods: Sequence[Json], patience: float = 60.0) -> None:
        self.pods, self.patience, self.asked = list(pods), patience, 0

    def get(self, ref: Ref) -> Json | None:
        return None

    def items(self, api_version: str, kind: str, selector: str = "") -> tuple[list[Json], str]:
        if kind == "ReplicaSet":
            return ([made_by("deleted", "its-set")] if not self.asked else []), ""
        self.asked += 1
        return list(self.pods.pop(0) if len(self.pods) > 1 else self.pods[0]), ""


@pytest.mark.parametrize("alone", [True, False])
def test_pods_of_what_was_deleted_are_waited_for_even_where_their_set_is_gone(alone: bool) -> None:
    cluster = Said([made_by("its-set", "pod", status=READY)], [made_by("its-set", "pod", status=READY)], [])
    assert [each.message for each in gone(cluster, "l", {APP: "deleted"}, alone)] == ["Deployment/a deleted"]
    assert cluster.asked == 3


def test_other_pods_are_not_waited_for_unless_nothing_is_to_run() -> None:
    others = [made_by("another-set", "pod", status=READY)]
    list(gone(Said(others), "l", {APP: "deleted"}, alone=False))
    with pytest.raises(ReleaseFailed, match="Pod/pod was deleted and is still there"):
        list(gone(Said(others, patience=0.5), "l", {}, alone=True))
