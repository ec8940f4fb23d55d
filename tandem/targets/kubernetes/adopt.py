"""Taking over, once, the objects of an app that people's tools made: their fields become Tandem's."""

from collections.abc import Sequence

from tandem.errors import Refused
from tandem.targets.kubernetes import owners
from tandem.targets.kubernetes.ask_first import kept_by
from tandem.targets.kubernetes.cluster import Cluster
from tandem.targets.kubernetes.objects import Json, Wanted, at_version, put
from tandem.targets.kubernetes.prepare import LABEL
from tandem.targets.kubernetes.refusal import ApiRefused

TRIES = 10  # at an object whose status moves


def adopt(cluster: Cluster, wanted: Sequence[Wanted], label: str) -> list[str]:
    """Take over what is there of these objects; gives a line for each. What they run is not touched.

    Raises Refused, before anything is changed, where Argo CD, Flux or another environment keeps one.
    """
    live = [cluster.get(each.ref) for each in wanted]
    if kept := [why for each, body in zip(wanted, live, strict=True) if body and (why := kept_by(each, body, label))]:
        raise Refused("\n".join(kept))
    done = []
    for each, body in zip(wanted, live, strict=True):
        if body and (by := _foreign(body)):
            _take(cluster, each, body, label)
            done.append(f"{each.ref}, made by {', '.join(by)}")
    return done


def _foreign(body: Json) -> list[str]:
    """Whose fields there are to take over; nothing where Tandem has the object already."""
    by = [str(entry["manager"]) for entry in owners.of_fields(body) if owners.by_hand(entry)]
    return by or ([] if owners.is_ours(body) else owners.managers(body) or ["somebody"])


def _take(cluster: Cluster, wanted: Wanted, body: Json, label: str) -> None:
    """The label first, then the fields' owners, which that moved: a kill in between leaves what can be done again."""
    for _ in range(TRIES):
        metadata = body["metadata"]
        notes = {k: v for k, v in (metadata.get("annotations") or {}).items() if k != owners.LAST_APPLIED}
        labels = {**(metadata.get("labels") or {}), LABEL: label}
        try:
            body = cluster.patch(
                wanted.ref, [at_version(body), put("metadata/labels", labels), put("metadata/annotations", notes)]
            )
            cluster.patch(wanted.ref, [at_version(body), put("metadata/managedFields", owners.taken_over(body))])
            return
        except ApiRefused as error:
            if not error.conflict:
                raise Refused(f"{wanted.ref}: {error}") from None
        found = cluster.get(wanted.ref)
        if found is None:
            return
        body = found
    raise Refused(f"{wanted.ref} changes faster than it can be taken over: try again")
