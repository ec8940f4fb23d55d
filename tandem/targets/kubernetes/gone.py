"""Waiting until nothing of what was deleted takes a request."""

import time
from collections.abc import Iterator, Mapping

from tandem.errors import ReleaseFailed
from tandem.records import Progress
from tandem.targets.kubernetes.cluster import Cluster
from tandem.targets.kubernetes.look import is_ready
from tandem.targets.kubernetes.objects import Json, Ref
from tandem.targets.kubernetes.prepare import LABEL


def gone(cluster: Cluster, label: str, refs: Mapping[Ref, str], alone: bool) -> Iterator[Progress]:
    """Wait until these objects (with their uids) are gone; `alone`: nothing of the environment runs afterwards.

    Raises ReleaseFailed where something is still there when the cluster's patience is over.
    """
    until, of = time.monotonic() + cluster.patience, set(refs.values())
    while left := _left(cluster, label, refs, of, alone):
        if time.monotonic() > until:
            raise ReleaseFailed(f"{', '.join(left)} was deleted and is still there", "environment")
        time.sleep(0.2)
    yield from (Progress(f"{ref} deleted") for ref in refs)


def _left(cluster: Cluster, label: str, refs: Mapping[Ref, str], of: set[str], alone: bool) -> list[str]:
    """What is still there of them; `of` grows by the uids of what they made."""
    found = [(ref, body) for ref in refs if (body := cluster.get(ref)) and body["metadata"]["uid"] == refs[ref]]
    left = [str(ref) for ref, _ in found]
    if not (refs or alone):
        return left
    sets = cluster.items("apps/v1", "ReplicaSet", f"{LABEL}={label}")[0]
    of |= {body["metadata"]["uid"] for body in sets if _owners(body) & of}
    pods = [pod for pod in cluster.items("v1", "Pod", f"{LABEL}={label}")[0] if is_ready(pod)]
    return left + [f"Pod/{pod['metadata']['name']}" for pod in pods if alone or _owners(pod) & of]


def _owners(body: Json) -> set[str]:
    return {each["uid"] for each in body["metadata"].get("ownerReferences") or ()}
