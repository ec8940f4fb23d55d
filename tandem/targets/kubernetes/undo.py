"""What undoes a release: the objects as they were, and bringing them back."""

import copy
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from tandem.errors import ReleaseFailed
from tandem.records import Snapshot
from tandem.targets.kubernetes import owners
from tandem.targets.kubernetes.cluster import MANAGER, Cluster
from tandem.targets.kubernetes.objects import Json, Ref, at_version, put, ref_of
from tandem.targets.kubernetes.owners import COUNTED, mark, release_of
from tandem.targets.kubernetes.prepare import LABEL, TEMPLATED
from tandem.targets.kubernetes.refusal import ApiRefused

TRIES = 20  # onto an object whose status moves
Scaled = Collection[tuple[str, str]]  # kind and name of what an autoscaler scales


def labelled(cluster: Cluster, kinds: Iterable[tuple[str, str]], label: str) -> list[Json]:
    """The environment's objects of these kinds that Tandem applied."""
    found = []
    for version, kind in kinds:
        try:
            found += cluster.items(version, kind, f"{LABEL}={label}")[0]
        except ApiRefused as error:
            if not error.missing:  # a kind that the cluster has forgotten, objects and all
                raise
    return [body for body in found if owners.is_ours(body) or release_of(body) is not None]


def snapshot(live: Iterable[Json]) -> Snapshot:
    """Each object as it is, its fields' owners too, without its status; empty where there is none."""
    taken = {_key(ref_of(body)): {key: value for key, value in body.items() if key != "status"} for body in live}
    return Snapshot({"objects": taken} if taken else {})


def objects(content: Mapping[str, Any]) -> dict[Ref, Json]:
    """The objects of a snapshot."""
    return {_ref(key): body for key, body in content.get("objects", {}).items()}


def bring_back(cluster: Cluster, content: Mapping[str, Any], release: str, scaled: Scaled) -> dict[str, Json]:
    """Undo what `release` changed of the snapshot's objects, others' edits of them too; the rest is left as it is.

    Gives its Kubernetes Deployments as they are now, by name.
    """
    before = objects(content)
    deployments: dict[str, Json] = {}
    for ref in sorted(before, key=lambda ref: (ref.kind in TEMPLATED, ref)):
        there = cluster.get(ref)
        if there is None:
            there = cluster.apply(owners.applied(before[ref]) or before[ref], force=True)
        elif release_of(there) == release or _half_done(there):
            there = put_back(cluster, before[ref], there, scaled)
        if ref.kind == "Deployment":
            deployments[ref.name] = there
    return deployments


def came(content: Mapping[str, Any], live: Iterable[Json], release: str) -> dict[Ref, str]:
    """What came with the release, with its uid."""
    before = objects(content)
    return {
        ref_of(body): body["metadata"]["uid"]
        for body in live
        if ref_of(body) not in before and release_of(body) == release and owners.is_ours(body)
    }


def put_back(cluster: Cluster, before: Json, there: Json, scaled: Scaled) -> Json:
    """The object as it was before, then its fields' owners: each onto the very version that was looked at."""
    ref, release = ref_of(before), release_of(there)
    for _ in range(TRIES):
        try:
            if not _is_as_before(before, there, scaled):
                there = cluster.patch(ref, _as_before(before, there, scaled))
            fields = [*owners.of_fields(before), *owners.of_status(there)]
            if _untimed(fields) != _untimed(owners.entries(there)):
                there = cluster.patch(ref, [at_version(there), put("metadata/managedFields", fields)])
            return there
        except ApiRefused as error:
            if not error.conflict:
                raise
        now = cluster.get(ref)
        if now is None:
            return cluster.apply(owners.applied(before) or before, force=True)
        if release_of(now) not in (release, release_of(before)):
            return now  # another release's by now
        there = now
    raise ReleaseFailed(f"{ref} changes faster than it can be brought back", "environment")


def take_off(cluster: Cluster, applied: Iterable[Json], before: Mapping[Ref, Json | None], scaled: Scaled) -> None:
    """What was applied by a release that had been ended meanwhile goes again, where nobody else touched it."""
    for body in applied:
        ref, now = ref_of(body), cluster.get(ref_of(body))
        if now is None or mark(now) != mark(body):
            continue
        old = before[ref]
        if old is None:
            cluster.delete(ref, now["metadata"]["uid"])
        else:
            put_back(cluster, old, now, scaled)


def _is_as_before(before: Json, there: Json, scaled: Scaled) -> bool:
    whose = _scales(before, scaled)
    return owners.content(before, scaled=whose) == owners.content(there, scaled=whose)


def _as_before(before: Json, there: Json, scaled: Scaled) -> list[Json]:
    """A JSON patch from what is there to what was before; what the controllers keep stays as it is."""
    notes = {k: v for k, v in (before["metadata"].get("annotations") or {}).items() if k != COUNTED}
    if count := (there["metadata"].get("annotations") or {}).get(COUNTED):
        notes[COUNTED] = count
    wish = copy.deepcopy({key: value for key, value in before.items() if key not in ("metadata", "status")})
    if _scales(before, scaled) and "replicas" in there.get("spec", {}):
        wish["spec"]["replicas"] = there["spec"]["replicas"]
    gone = [key for key in there if key not in (*wish, "metadata", "status")]
    return [
        at_version(there),
        put("metadata/labels", before["metadata"].get("labels") or {}),
        put("metadata/annotations", notes),
        *(put(key, value) for key, value in wish.items() if key not in ("apiVersion", "kind")),
        *({"op": "remove", "path": f"/{key}"} for key in gone),
    ]


def _scales(before: Json, scaled: Scaled) -> bool:
    """Whether somebody else than Tandem says how many pods there are."""
    name = (before["kind"], before["metadata"]["name"])
    return before["kind"] == "Deployment" and (name in scaled or not owners.applied_replicas(before))


def _half_done(there: Json) -> bool:
    """Whether an undoing was killed between the object and its fields' owners."""
    return any(e.get("manager") == MANAGER and e.get("operation") == "Update" for e in owners.of_fields(there))


def _untimed(fields: Iterable[Json]) -> list[Json]:
    found = [{key: value for key, value in each.items() if key != "time"} for each in fields]
    return sorted(found, key=lambda each: (each["manager"], each["operation"], each.get("subresource", "")))


def _key(ref: Ref) -> str:
    return f"{ref.api_version} {ref.kind} {ref.name}"


def _ref(key: str) -> Ref:
    return Ref(*key.split(" "))
