"""Waiting until only the new pods serve, or until the first sign that they will not."""

import time
from collections.abc import Collection, Iterator, Mapping

from tandem.errors import ReleaseFailed, Unreachable
from tandem.records import Progress
from tandem.targets.kubernetes import diagnose
from tandem.targets.kubernetes.cluster import Cluster
from tandem.targets.kubernetes.diagnose import Finding
from tandem.targets.kubernetes.follow import Follow
from tandem.targets.kubernetes.look import Seen, look
from tandem.targets.kubernetes.objects import Json
from tandem.targets.kubernetes.prepare import LABEL

SETTLE = 4.0  # seconds until the last kube-proxy has forgotten a pod that ends (measured: 1.0 to 3, busy ones longer)
GRACE = 30.0  # seconds beyond the progress deadline, without progress, for a control plane that says nothing
SILENT = 5.0  # seconds without an answer of the API until it is said
LOG = 50  # lines of a container that failed

Event = tuple[str, int]  # uid, count


def told(cluster: Cluster) -> set[Event]:
    """The namespace's events so far: what was told before a rollout is not its fault."""
    return {_event(each) for each in cluster.items("v1", "Event")[0]}


def wait(cluster: Cluster, label: str, applied: Mapping[str, Json], before: Collection[Event]) -> Iterator[Progress]:
    """Until each Kubernetes Deployment (by name, as apply answered it) runs only its newest pods.

    `before`: the events that were there already. Raises ReleaseFailed with its blame at the first sign, StateChanged
    where another release changed one, Unreachable where the API is away for longer than the cluster's patience.
    """
    selector, began, restarts = f"{LABEL}={label}", time.monotonic(), dict[str, dict[str, int]]()
    limit = (
        max((int(body["spec"].get("progressDeadlineSeconds") or 600) for body in applied.values()), default=0) + GRACE
    )
    kinds = [("apps/v1", "Deployment"), ("apps/v1", "ReplicaSet"), ("v1", "Pod")]
    with Follow(cluster, [*((*kind, selector) for kind in kinds), ("v1", "Event", "")]) as follow:
        moves, said, heard, rolled_at = 0, "", began, None
        progress, progressed = tuple[int, ...](), began
        while True:
            moves = follow.wait(moves, 0.5)
            now = time.monotonic()
            if follow.trouble is None:
                heard = now
            elif now - heard > cluster.patience:
                raise Unreachable(follow.trouble)
            elif now - heard > SILENT:
                if said != (said := "the API server does not answer: waiting for it"):
                    yield Progress(f"{said} ({follow.trouble})")
                progressed = now  # the cluster may have gone on or not: the time starts anew
                continue
            if not follow.complete:
                continue
            seen = _seen(follow, before, now - began)
            found = look(applied, seen, restarts)
            finding = found.finding
            if progress != (progress := found.moves):
                progressed = now
            if not (finding or found.rolled) and now - progressed > limit:
                late = f"and nothing moved for {limit:.0f} s"
                finding = diagnose.never_ready(", ".join(applied), late, seen.pods, seen.events)
            if finding:
                raise ReleaseFailed(finding.reason, finding.fault, _log(cluster, finding))
            text = f"{found.ready} of {found.total} new pods are ready" + ("; the old ones end" if found.rolled else "")
            if text != said:
                said = text
                yield Progress(text, found.ready, found.total + 1)
            rolled_at = (rolled_at or now) if found.rolled else None
            ending = any("deletionTimestamp" in pod["metadata"] for pod in seen.pods)
            if rolled_at and (not ending or now - rolled_at >= SETTLE):
                return


def _seen(follow: Follow, before: Collection[Event], waited: float) -> Seen:
    events = sorted((event for event in follow.of("Event") if _event(event) not in before), key=_last)
    return Seen(follow.of("Deployment"), follow.of("ReplicaSet"), follow.of("Pod"), events, waited)


def _last(body: Json) -> str:
    """When it was last heard of: the newest word comes last."""
    series = body.get("series") or {}
    return str(series.get("lastObservedTime") or body.get("lastTimestamp") or body.get("eventTime") or "")


def _event(body: Json) -> Event:
    series = body.get("series") or {}
    return body["metadata"]["uid"], int(series.get("count") or body.get("count") or 1)


def _log(cluster: Cluster, finding: Finding) -> str:
    if not finding.container:
        return ""
    lines = cluster.logs(finding.pod, finding.container, LOG, finding.previous)
    return lines or cluster.logs(finding.pod, finding.container, LOG, not finding.previous)
