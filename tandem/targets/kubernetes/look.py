"""One look at a rollout: how far it is, what is wrong, what somebody else did to it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tandem.errors import ReleaseFailed, StateChanged
from tandem.targets.kubernetes import diagnose
from tandem.targets.kubernetes.diagnose import Finding
from tandem.targets.kubernetes.objects import Json
from tandem.targets.kubernetes.owners import COUNTED, changed_by, content, release_of


@dataclass(frozen=True)
class Seen:
    """What the API said last: objects by kind, and events since the rollout began, `waited` seconds ago."""

    deployments: Sequence[Json]
    replica_sets: Sequence[Json]
    pods: Sequence[Json]
    events: Sequence[Json]
    waited: float


@dataclass(frozen=True)
class Look:
    """`ready` of `total` new pods; `rolled`: they are all there, and the old ones have ended or are ending.

    `moves` differs from that of an earlier look where there was progress since.
    """

    ready: int
    total: int
    rolled: bool
    finding: Finding | None = None
    moves: tuple[int, ...] = ()


def look(applied: Mapping[str, Json], seen: Seen, restarts: dict[str, dict[str, int]]) -> Look:
    """How far the Kubernetes Deployments (by name, as apply answered them) are.

    `restarts` remembers, from one look to the next, how often a pod's containers had been started again. Raises
    StateChanged where another release changed one, ReleaseFailed where somebody did.
    """
    there = {body["metadata"]["name"]: body for body in seen.deployments}
    ready = total = 0
    rolled, moves = True, list[int]()
    for name, body in applied.items():
        if name not in there:
            return Look(0, 0, False, Finding(f"Deployment/{name} was deleted during the release", "environment"))
        live = there[name]
        _not_edited(body, live)
        status, wish = live.get("status") or {}, live["spec"].get("replicas", 1)
        total += wish
        if status.get("observedGeneration", 0) < live["metadata"]["generation"]:
            rolled = False
            continue
        if finding := _finding(body, live, seen, restarts):
            return Look(ready, total, False, finding)
        counts = [status.get(key, 0) for key in ("updatedReplicas", "availableReplicas", "replicas")]
        moves += counts
        newest = (each for each in seen.replica_sets if _is_newest(each, live))
        ready += min(sum((each.get("status") or {}).get("availableReplicas", 0) for each in newest), wish)
        rolled = rolled and counts == [wish] * 3
    return Look(ready, total, rolled, moves=tuple(moves))


def is_ready(pod: Json) -> bool:
    """Whether the pod takes requests: ready, and not ending."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]


def restart_counts(pod: Json) -> dict[str, int]:
    """How often each container was started again."""
    found: Iterable[Json] = (pod.get("status") or {}).get("containerStatuses") or ()
    return {each["name"]: each.get("restartCount", 0) for each in found}


def _finding(body: Json, live: Json, seen: Seen, restarts: dict[str, dict[str, int]]) -> Finding | None:
    newest = [each for each in seen.replica_sets if _is_newest(each, live)]
    names = {each["metadata"]["name"] for each in newest}
    own = [pod for pod in seen.pods if _owner(pod) in names and "deletionTimestamp" not in pod["metadata"]]
    for each in newest:
        if found := diagnose.of_replica_set(each, seen.events):
            return found
    for pod in own:
        before = restarts.setdefault(pod["metadata"]["uid"], restart_counts(pod) if is_ready(pod) else {})
        if found := diagnose.of_pod(pod, seen.events, seen.waited, before):
            return found
    late = _late(live)
    if late and late != _late(body):  # a rollout that an earlier one's lateness was left on is timed by who waits
        limit = f"within its progressDeadlineSeconds, {live['spec']['progressDeadlineSeconds']} s"
        return diagnose.never_ready(f"Deployment/{live['metadata']['name']}", limit, own, seen.events)
    return None


def _late(body: Json) -> str | None:
    """When the progress deadline was missed."""
    for condition in (body.get("status") or {}).get("conditions") or ():
        if condition["type"] == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded":
            return str(condition.get("lastUpdateTime"))
    return None


def _not_edited(body: Json, live: Json) -> None:
    if live["metadata"]["generation"] == body["metadata"]["generation"]:
        return
    name = live["metadata"]["name"]
    if release_of(live) != release_of(body):
        raise StateChanged(f"Deployment/{name} was changed by release {release_of(live)!r} during this one")
    if content(live, scaled=True) != content(body, scaled=True):
        who = ", ".join(changed_by(body, live))
        raise ReleaseFailed(f"Deployment/{name} was edited during the release, by {who}", "environment")


def _is_newest(body: Json, deployment: Json) -> bool:
    owners = body["metadata"].get("ownerReferences") or ()
    revisions = [(each["metadata"].get("annotations") or {}).get(COUNTED) for each in (body, deployment)]
    return any(each.get("uid") == deployment["metadata"]["uid"] for each in owners) and revisions[0] == revisions[1]


def _owner(pod: Json) -> str:
    return next((each["name"] for each in pod["metadata"].get("ownerReferences") or () if each.get("controller")), "")
