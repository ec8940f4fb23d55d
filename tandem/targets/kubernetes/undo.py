"""What undoes a release: the objects as they were, and bringing them back."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from tandem.records import Snapshot
from tandem.targets.kubernetes import owners
from tandem.targets.kubernetes.cluster import Cluster
from tandem.targets.kubernetes.objects import Json, Ref, ref_of
from tandem.targets.kubernetes.prepare import LABEL, RELEASE, TEMPLATED
from tandem.targets.kubernetes.refusal import ApiRefused


def labelled(cluster: Cluster, kinds: Iterable[tuple[str, str]], label: str) -> list[Json]:
    """The environment's objects of these kinds."""
    found = []
    for version, kind in kinds:
        try:
            found += cluster.items(version, kind, f"{LABEL}={label}")[0]
        except ApiRefused as error:
            if not error.missing:  # a kind that the cluster has forgotten, objects and all
                raise
    return [body for body in found if _release(body) is not None]  # the state itself has no release


def snapshot(live: Iterable[Json]) -> Snapshot:
    """What Tandem had applied of each object, and a mark of all that is in it; empty where there is none."""
    taken = {
        _key(ref_of(body)): {"applied": applied, "content": mark(body)}
        for body in live
        if (applied := owners.applied(body)) is not None
    }
    return Snapshot({"objects": taken} if taken else {})


def mark(body: Json | None) -> str:
    """Equal where nobody changed the object but its controllers."""
    return hashlib.sha256(owners.content(body, scaled=True).encode()).hexdigest()


def marks(content: Mapping[str, Any]) -> dict[Ref, str]:
    """Each object's mark at the snapshot."""
    return {_ref(key): each["content"] for key, each in content.get("objects", {}).items()}


def bring_back(
    cluster: Cluster, content: Mapping[str, Any], live: Iterable[Json], release: str
) -> tuple[dict[str, Json], list[Ref]]:
    """Undo what `release` changed: apply what was, delete what came; what it did not touch is left as it is.

    Gives the Kubernetes Deployments of the snapshot as they are now, by name, and what was deleted.
    """
    now = {ref_of(body): body for body in live}
    before = {_ref(key): each["applied"] for key, each in content.get("objects", {}).items()}
    deployments: dict[str, Json] = {}
    for ref in sorted(before, key=lambda ref: (ref.kind in TEMPLATED, ref)):
        there = now.get(ref)
        if there is None or _release(there) == release:
            there = cluster.apply(before[ref], force=True)
        if ref.kind == "Deployment":
            deployments[ref.name] = there
    came = [ref for ref, body in now.items() if ref not in before and _release(body) == release]
    for ref in came:
        cluster.delete(ref, now[ref]["metadata"]["uid"])
    return deployments, came


def _release(body: Json) -> str | None:
    return (body["metadata"].get("annotations") or {}).get(RELEASE)


def _key(ref: Ref) -> str:
    return f"{ref.api_version} {ref.kind} {ref.name}"


def _ref(key: str) -> Ref:
    return Ref(*key.split(" "))
