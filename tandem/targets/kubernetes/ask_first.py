"""Before anything changes: whose the objects are, and whether the API server would take them, pods too."""

import copy
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from tandem.errors import Fault, ReleaseFailed
from tandem.targets.kubernetes import owners
from tandem.targets.kubernetes.cluster import Cluster
from tandem.targets.kubernetes.objects import Json, Ref, Wanted
from tandem.targets.kubernetes.prepare import LABEL, template
from tandem.targets.kubernetes.refusal import ApiRefused

AT_ONCE = 8  # requests
INVALID = (400, 422, 500)  # the object itself is wrong: a 500 is how an unknown field comes back

Wrong = tuple[Fault, str]


def ask_first(cluster: Cluster, wanted: Sequence[Wanted], label: str) -> tuple[list[Json | None], list[Json]]:
    """Each object as it is now (None where there is none), and as it would be; nothing was changed.

    Raises ReleaseFailed with every object that is another's, and every one that the server would refuse.
    """
    with ThreadPoolExecutor(AT_ONCE) as pool:
        live = list(pool.map(lambda each: _live(cluster, each), wanted))
        foreign = [wrong for each, body in zip(wanted, live, strict=True) if (wrong := _foreign(each, body, label))]
        if foreign:
            raise ReleaseFailed("\n".join(foreign), "environment")
        tried = list(pool.map(lambda each: _tried(cluster, each), wanted))
        refused = [body for body in tried if isinstance(body, tuple)]
        coming = {each.ref for each, body in zip(wanted, live, strict=True) if body is None}
        refused += [wrong for wrong in pool.map(lambda each: _pod(cluster, each, coming), wanted) if wrong]
    if refused:
        fault: Fault = "environment" if any(fault == "environment" for fault, _ in refused) else "candidate"
        raise ReleaseFailed("\n".join(text for _, text in refused), fault)
    return live, [body for body in tried if not isinstance(body, tuple)]


def _live(cluster: Cluster, wanted: Wanted) -> Json | None:
    try:
        return cluster.get(wanted.ref)
    except ApiRefused as error:
        raise ReleaseFailed(f"{wanted.where}: {error}", "environment") from None


def _foreign(wanted: Wanted, live: Json | None, label: str) -> str | None:
    if live is None:
        return None
    if keeper := owners.gitops(live):
        return (
            f"{wanted.ref} is kept by {keeper}, which would undo what Tandem does: take it out of {keeper}'s "
            "application, or let that alone release it"
        )
    there = (live["metadata"].get("labels") or {}).get(LABEL)
    if there not in (None, label):
        return f"{wanted.ref} is {there}'s: give this environment a namespace of its own, or the object another name"
    if not owners.is_ours(live):
        app, _, environment = label.partition(".")
        made = ", ".join(owners.managers(live)) or "somebody"
        return f"{wanted.ref} was made by {made}: 'tandem adopt {app} {environment}' takes it over, once"
    return None


def _tried(cluster: Cluster, wanted: Wanted) -> Json | Wrong:
    try:
        return cluster.apply(wanted.body, dry_run=True)
    except ApiRefused as error:
        return explained(wanted, error)


def explained(wanted: Wanted, error: ApiRefused) -> Wrong:
    """Whose fault a refused object is, and a line that names file and fields."""
    said = "; ".join(f"{cause.field}: {cause.message}" for cause in error.causes if cause.field)
    if error.conflict:
        return "environment", f"{wanted.where}: {wanted.ref}: others keep fields of it: {said or error}"
    fault: Fault = "candidate" if error.status in INVALID else "environment"
    return fault, f"{wanted.where}: {wanted.ref} is refused: {said or error}"


def _pod(cluster: Cluster, wanted: Wanted, coming: set[Ref]) -> Wrong | None:
    """What refuses a pod of this workload: admission looks at pods, not at Kubernetes Deployments."""
    pods = template(wanted.body)
    if pods is None:
        return None
    spec = copy.deepcopy(pods["spec"])
    account = spec.get("serviceAccountName")
    if Ref("v1", "ServiceAccount", str(account)) in coming:
        spec.pop("serviceAccountName")
    if wanted.body["kind"] == "CronJob":
        spec.setdefault("restartPolicy", "Never")
    metadata = {**(pods.get("metadata") or {}), "generateName": f"{wanted.ref.name}-"}
    try:
        cluster.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}, dry_run=True)
    except ApiRefused as error:
        if error.status == 403 and 'cannot create resource "pods"' in str(error):
            return None  # Tandem's Role may leave this out: then the rollout itself finds it
        if "exceeded quota" in str(error) and _makes_room(wanted.body):
            return None
        return explained(wanted, error)
    return None


def _makes_room(body: Json) -> bool:
    """Whether a pod goes before another comes."""
    strategy = (body.get("spec") or {}).get("strategy") or {}
    return strategy.get("type") == "Recreate" or (strategy.get("rollingUpdate") or {}).get("maxSurge") in (0, "0", "0%")
