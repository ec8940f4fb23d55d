"""What went wrong with the pods of a rollout, by the first event or condition that names it, and whose fault it is.

Pure functions over the API's JSON. Reasons: https://github.com/kubernetes/kubernetes/blob/master/pkg/kubelet/events
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tandem.errors import Fault
from tandem.targets.kubernetes.objects import Json

NO_IMAGE = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable")
NO_START = ("CreateContainerError", "RunContainerError", "StartError", "PostStartHookError")
CANNOT_RUN = (  # what the runtime says of a command, a user or a folder that the image does not have
    "executable file not found",
    "no such file or directory",
    "permission denied",
    "exec format error",
    "not a directory",
    "is a directory",
    "unable to find user",
    "unable to find group",
    "chdir",
    "cwd",
)
SCALING = ("TriggeredScaleUp", "Nominated", "NominatedNode")
NOT_THERE = re.compile(r"\b(configmap|secret|persistentvolumeclaim) \"\S+\" not found")
NOT_YET = re.compile(r"failed to sync (configmap|secret) cache")  # the API has not answered the kubelet: it asks again
MOUNTS = 4  # tries (after 0.5, 1, 2 s) to mount a ConfigMap: a kubelet learns of a new one a moment later
SCHEDULER = 15.0  # seconds a pod may be unschedulable: an autoscaler that will make room says so within 10


@dataclass(frozen=True)
class Finding:
    """What is wrong, whose fault that is, and of which container the log tells more ("" for none)."""

    reason: str
    fault: Fault
    pod: str = ""
    container: str = ""
    previous: bool = False  # the log of the container before this one


def of_replica_set(body: Json, events: Sequence[Json]) -> Finding | None:
    """Why a ReplicaSet's pods cannot be made: quota, admission."""
    for condition in _conditions(body, "ReplicaFailure"):
        if condition["status"] == "True":
            return Finding(f"pods are refused: {condition.get('message', '')}", "environment")
    for event in events:
        if event.get("reason") == "FailedCreate" and event["involvedObject"].get("name") == body["metadata"]["name"]:
            return Finding(f"pods are refused: {event.get('message', '')}", "environment")
    return None


def of_pod(pod: Json, events: Sequence[Json], waited: float, before: Mapping[str, int]) -> Finding | None:
    """Why a pod will not serve, `waited` seconds after the rollout began; None while it may still come up.

    `before`: how often each container had been started again when the rollout began.
    """
    name, status = pod["metadata"]["name"], pod.get("status") or {}
    own = [event for event in events if event["involvedObject"].get("name") == name]
    if status.get("reason") in ("Evicted", "NodeLost", "UnexpectedAdmissionError"):
        return Finding(f"pod {name} was evicted: {status.get('message', status['reason'])}", "environment", name)
    inits, mains = (status.get(key) or () for key in ("initContainerStatuses", "containerStatuses"))
    for container in (*inits, *mains):
        if found := _of_container(name, container, own, container in inits, before.get(container["name"], 0)):
            return found
    for event in own:
        if event.get("reason") == "Failed" and "pull" in str(event.get("message", "")) and not _secret_late(own):
            return Finding(_image(event["message"]), "environment", name)
        if event.get("reason") == "FailedMount" and _times(event) >= MOUNTS and NOT_THERE.search(event["message"]):
            return Finding(f"pod {name} cannot be started: {event['message']}", "environment", name)
    return _unschedulable(name, pod, own, waited)


def _of_container(pod: str, container: Json, events: Sequence[Json], init: bool, restarts: int) -> Finding | None:
    name, state = container["name"], container.get("state") or {}
    waiting, dead = state.get("waiting") or {}, state.get("terminated")
    reason, message = waiting.get("reason", ""), waiting.get("message", "")
    if reason in NO_IMAGE and not _secret_late(events):
        told = [e["message"] for e in events if e.get("reason") == "Failed" and "pull" in str(e.get("message", ""))]
        return Finding(_image(next(iter(told), message or reason)), "environment", pod)
    if reason == "CreateContainerConfigError" and not NOT_YET.search(message):
        return Finding(f"container {name} of pod {pod} cannot be made: {message}", "environment", pod)
    if reason in NO_START:
        return Finding(
            f"container {name} of pod {pod} does not start: {message}", _of_start(reason, message), pod, name
        )
    if dead and (dead.get("exitCode") or not init):  # an init container's work is done when it ends with 0
        return _crash(pod, name, dead, events, previous=False)
    earlier = (container.get("lastState") or {}).get("terminated")
    if earlier and container.get("restartCount", 0) > restarts and (earlier.get("exitCode") or not init):
        return _crash(pod, name, earlier, events, previous=True)
    return None


def _of_start(reason: str, message: str) -> Fault:
    """Whose fault a container is that was made and did not start: the image's, or a node's that lacks something."""
    own = reason == "PostStartHookError" or any(word in message for word in CANNOT_RUN)
    return "candidate" if own else "environment"


def _crash(pod: str, container: str, dead: Json, events: Sequence[Json], previous: bool) -> Finding:
    why, code = dead.get("reason", ""), dead.get("exitCode")
    if why in ("StartError", "ContainerCannotRun"):
        said = str(dead.get("message", ""))
        return Finding(f"container {container} of pod {pod} does not start: {said}", _of_start(why, said), pod)
    if why == "OOMKilled":
        text = f"container {container} of pod {pod} took more memory than its limit and was killed"
    elif killed := [e["message"] for e in events if e.get("reason") == "Killing" and "probe" in e.get("message", "")]:
        text = f"container {container} of pod {pod} was ended: {killed[-1]}{_probe(events)}"
    else:
        text = f"container {container} of pod {pod} ended (exit code {code})"
    return Finding(text, "candidate", pod, container, previous)


def never_ready(deployment: str, limit: str, pods: Iterable[Json], events: Sequence[Json]) -> Finding:
    """What to say when the time is over: the app's fault where its container ran all the while."""
    for pod in pods:
        name = pod["metadata"]["name"]
        own = [event for event in events if event["involvedObject"].get("name") == name]
        for container in (pod.get("status") or {}).get("containerStatuses") or ():
            if "running" in (container.get("state") or {}) and not container.get("ready"):
                text = f"{deployment}: pod {name} was not ready {limit}{_probe(own)}"
                return Finding(text, "candidate", name, container["name"])
        if mounts := [e["message"] for e in own if e.get("reason") in ("FailedMount", "FailedAttachVolume")]:
            return Finding(f"{deployment}: pod {name} was not started {limit}: {mounts[-1]}", "environment", name)
    told = "; ".join(dict.fromkeys(str(e.get("message")) for e in events if e.get("type") == "Warning"))
    return Finding(f"{deployment}: not all pods were ready {limit}: {told or 'no event says why'}", "environment")


def _unschedulable(name: str, pod: Json, events: Sequence[Json], waited: float) -> Finding | None:
    if any(event.get("reason") in SCALING for event in events) or waited < SCHEDULER:
        return None
    for condition in _conditions(pod, "PodScheduled"):
        if condition["status"] == "False" and condition.get("reason") == "Unschedulable":
            return Finding(f"there is no room for pod {name}: {condition.get('message', '')}", "environment", name)
    return None


def _secret_late(events: Sequence[Json]) -> bool:
    """Whether the first pull came before the node might read the pod's new pull secret: the second is seconds away."""
    if not any(event.get("reason") == "FailedToRetrieveImagePullSecret" for event in events):
        return False
    pulls = [e for e in events if e.get("reason") == "Failed" and "Failed to pull" in str(e.get("message", ""))]
    return sum(map(_times, pulls)) < 2


def _times(event: Json) -> int:
    return int((event.get("series") or {}).get("count") or event.get("count") or 1)


def _image(message: str) -> str:
    """The three ways in which a pull fails; only the runtime's message tells them apart, the image's name aside."""
    said = re.sub(r'"[^"]*"|\S*@sha256:\S*', "", message).lower()
    if "not found" in said or "manifest unknown" in said:
        why = "the image is not in the registry"
    elif re.search(r"\b40[13]\b|denied|forbidden|authoriz|authentication", said):
        why = "the cluster may not pull the image (a pull secret, or on AKS: az aks update --attach-acr)"
    else:
        why = "the registry cannot be reached from the cluster"
    return f"{why}: {message}"


def _probe(events: Sequence[Json]) -> str:
    told = [str(e.get("message", "")) for e in events if e.get("reason") == "Unhealthy"]
    return f" ({told[-1]})" if told else ""


def _conditions(body: Json, kind: str) -> Iterator[Json]:
    found = (body.get("status") or {}).get("conditions") or ()
    return (condition for condition in found if condition["type"] == kind)
