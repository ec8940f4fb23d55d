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
ADMISSION = ("admission webhook", "ValidatingAdmissionPolicy", "calling webhook")  # they answer with any status

Wrong = tuple[Fault, str]


def ask_first(cluster: Cluster, wanted: Sequence[Wanted], label: str) -> tuple[list[Json | None], list[Json]]:
    """Each object as it is now (None where there is none), and as it would be; nothing was changed.

    Raises ReleaseFailed with every object that is another's, and every one that the server would refuse.
    """
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(lambda each: _live(cluster, each), wanted))
        _raise([body for body in found if isinstance(body, tuple)])
        live = [body for body in found if not isinstance(body, tuple)]
        foreign = [wrong for each, body in zip(wanted, live, strict=True) if (wrong := _foreign(each, body, label))]
        if foreign:
            raise ReleaseFailed("\n".join(foreign), "environment")
        tried = list(pool.map(lambda each, body: _tried(cluster, each, body), wanted, live))
        refused = [body for body in tried if isinstance(body, tuple)]
        coming = {each.ref for each, body in zip(wanted, live, strict=True) if body is None}
        good = [each for each, body in zip(wanted, tried, strict=True) if not isinstance(body, tuple)]
        refused += [wrong for wrong in pool.map(lambda each: _pod(cluster, each, coming), good) if wrong]
    _raise(refused)
    return live, [body for body in tried if not isinstance(body, tuple)]


def _raise(refused: Sequence[Wrong]) -> None:
    if refused:
        fault: Fault = "environment" if any(fault == "environment" for fault, _ in refused) else "candidate"
        raise ReleaseFailed("\n".join(text for _, text in refused), fault)


def _live(cluster: Cluster, wanted: Wanted) -> Json | Wrong | None:
    try:
        return cluster.get(wanted.ref)
    except ApiRefused as error:  # of the whole cluster: a mistake; a kind that it does not know may come to it
        return ("candidate" if error.status == 400 else "environment"), f"{wanted.where}: {error}"


def kept_by(wanted: Wanted, live: Json, label: str) -> str | None:
    """Why this object may not become Tandem's: Argo CD, Flux or another environment keeps it."""
    if keeper := owners.gitops(live):
        return (
            f"{wanted.ref} is kept by {keeper}, which would undo what Tandem does: take it out of {keeper}'s "
            "application, or let that alone release it"
        )
    there = (live["metadata"].get("labels") or {}).get(LABEL)
    if there not in (None, label):
        return f"{wanted.ref} is {there}'s: give this environment a namespace of its own, or the object another name"
    return None


def _foreign(wanted: Wanted, live: Json | None, label: str) -> str | None:
    if live is None:
        return None
    if kept := kept_by(wanted, live, label):
        return kept
    if not owners.is_ours(live):
        app, _, environment = label.partition(".")
        made = ", ".join(owners.managers(live)) or "somebody"
        return f"{wanted.ref} was made by {made}: 'tandem adopt {app} {environment}' takes it over, once"
    return None


def _tried(cluster: Cluster, wanted: Wanted, live: Json | None) -> Json | Wrong:
    try:
        return cluster.apply(owners.keeping_replicas(wanted.body, live), dry_run=True)
    except ApiRefused as error:
        return explained(wanted, error)


def explained(wanted: Wanted, error: ApiRefused) -> Wrong:
    """Whose fault a refused object is, and a line that names file and fields."""
    said = "; ".join(f"{cause.field}: {cause.message}" for cause in error.causes if cause.field)
    if error.conflict:
        todo = "leave the field out of the YAML, or take it over once with 'tandem adopt'"
        return "environment", f"{wanted.where}: {wanted.ref}: others keep fields of it: {said or error}: {todo}"
    admission = any(word in str(error) for word in ADMISSION)
    fault: Fault = "candidate" if error.status in INVALID and not admission else "environment"
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
