"""Test an image as a pod of its own: alone, without rights, in a namespace where nothing else is.

For Tandem in a cluster, where there is no Docker engine. Kubernetes ends by itself what a killed trial leaves
(activeDeadlineSeconds); the next trial removes it.
"""

import math
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from tandem.errors import ImageFailed, ReleaseFailed, TandemError
from tandem.records import Image
from tandem.settings import VerifySettings
from tandem.targets.kubernetes.cluster import Cluster
from tandem.targets.kubernetes.diagnose import of_pod
from tandem.targets.kubernetes.objects import Json, Ref
from tandem.targets.trial import STOP_LIMIT, Trial
from tandem.targets.verify import ask_all, failures, wait_ready

LABEL, NAME = "dev.tandem.trial", "app"
START = 600.0  # seconds until a pod's container runs: a node may have to be added, gigabytes pulled
KILLED = 137  # the exit code after SIGKILL
LINES, CHARACTERS = 50, 20_000
ROOT = ("runAsNonRoot", "non-numeric user")  # of what a kubelet says to an image without a numeric user


@dataclass(frozen=True)
class Wish:
    """What the pod is given, and what is asked of it: `port` is the app's own, `memory` is in bytes."""

    verify: VerifySettings
    port: int
    memory: int
    stop_limit: float = STOP_LIMIT


def try_as_pod(
    cluster: Cluster,
    image: Image,
    wish: Wish,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Trial:
    """Start the image, see it ready and right, see it obey SIGTERM, leave no pod behind.

    Raises ImageFailed with the app's last lines, ReleaseFailed where the cluster cannot start it, Unreachable.
    """
    for left in cluster.items("v1", "Pod", LABEL)[0]:
        if (left.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            cluster.delete(Ref("v1", "Pod", left["metadata"]["name"]))
    name = f"trial-{uuid.uuid4().hex[:12]}"
    cluster.create(pod(name, str(image), wish))
    try:
        return _Attempt(cluster, str(image), wish, Ref("v1", "Pod", name), clock, sleep).run()
    finally:
        with suppress(TandemError):  # it hides nothing of how the trial went; the next removes it
            cluster.delete(Ref("v1", "Pod", name))


def pod(name: str, image: str, wish: Wish) -> Json:
    """The trial's pod, as Pod Security `restricted` admits it."""
    grace = math.ceil(wish.stop_limit)
    asked = sum(request.within for request in wish.verify.request)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {LABEL: name}},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "activeDeadlineSeconds": math.ceil(START + wish.verify.time_limit + asked + 2 * grace),
            "terminationGracePeriodSeconds": grace,
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [
                {
                    "name": NAME,
                    "image": image,
                    "ports": [{"containerPort": wish.port}],
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108
                    "resources": {
                        "requests": {"cpu": "100m", "memory": str(wish.memory // 4)},
                        "limits": {"memory": str(wish.memory)},
                    },
                }
            ],
            "volumes": [{"name": "tmp", "emptyDir": {}}],
        },
    }


@dataclass(frozen=True)
class _Attempt:
    cluster: Cluster
    image: str
    wish: Wish
    ref: Ref
    clock: Callable[[], float]
    sleep: Callable[[float], None]

    def run(self) -> Trial:
        address = f"http://{self.started()}:{self.wish.port}"
        ready = wait_ready(address, self.wish.verify, self.ended)
        if ready.failure:
            hint = f"; does it listen at 0.0.0.0:{self.wish.port}?" if "refused" in ready.failure else ""
            raise self.failed(ready.failure + hint)
        checks = ask_all(address, self.wish.verify.request)
        wrong = failures(checks)
        if ended := self.ended():
            wrong.append(ended)
        if wrong:
            raise self.failed("; ".join(wrong))
        return Trial(ready.seconds, checks, self.stopped(), f"a pod of {self.cluster}")

    def started(self) -> str:
        """The pod's address, as soon as its container runs or has run."""
        began = self.clock()
        while True:
            found = self.cluster.get(self.ref)
            if found is None:
                raise ReleaseFailed(f"{self.ref} in {self.cluster} was deleted by somebody else", "environment")
            status = found.get("status") or {}
            state = next((each.get("state") or {} for each in status.get("containerStatuses") or ()), {})
            if status.get("podIP") and "running" in state:
                return str(status["podIP"])
            waited = self.clock() - began
            events = self.cluster.items("v1", "Event")[0]
            if finding := of_pod(found, events, waited, {}):
                if finding.fault == "candidate":
                    raise self.failed(finding.reason)
                if any(word in finding.reason for word in ROOT):
                    why = "it must name a user by number, and not root: USER 10001, or [image] user"
                    raise self.failed(f"{finding.reason}: {why}; platforms that are strict do not start it")
                raise ReleaseFailed(f"{self.image} cannot be tried in {self.cluster}: {finding.reason}", "environment")
            if waited > START:
                last = "; ".join(str(e.get("message")) for e in events if e["involvedObject"]["name"] == self.ref.name)
                raise ReleaseFailed(f"{self.ref} did not start within {START:.0f} s: {last[-500:]}", "environment")
            self.sleep(0.2)

    def ended(self) -> str | None:
        """How the app ended, where it has."""
        found = self.cluster.get(self.ref)
        if found is None:
            return "its pod was deleted by somebody else"
        if dead := _terminated(found):
            if dead.get("reason") == "OOMKilled":
                return f"it needed more memory than the {self.wish.memory / 1024**2:,.0f} MiB of its trial"
            return f"the app ended (exit code {dead.get('exitCode')})"
        return None

    def stopped(self) -> float:
        """Seconds from SIGTERM to the end, whole ones, by the kubelet. Raises ImageFailed where it was killed."""
        selector, began, limit = f"{LABEL}={self.ref.name}", self.clock(), math.ceil(self.wish.stop_limit)
        version = self.cluster.items("v1", "Pod", selector)[1]
        self.cluster.delete(self.ref)
        while self.clock() - began < limit + START:
            for event in self.cluster.watch("v1", "Pod", selector, version, limit + 30):
                found = event["object"]
                if (dead := _terminated(found)) and "deletionTimestamp" in found["metadata"]:
                    if dead.get("exitCode") == KILLED:
                        why = (
                            f"it did not end within {limit} s of SIGTERM and was killed: each release would wait for it"
                        )
                        raise ImageFailed(f"{self.image} does not work: {why}")
                    # the deletion is noted with the end of its grace
                    return max(
                        _seconds(dead["finishedAt"]) - _seconds(found["metadata"]["deletionTimestamp"]) + limit, 0.0
                    )
            if self.cluster.get(self.ref) is None:  # the watch was cut, and it ended meanwhile
                return min(self.clock() - began, float(limit))
        raise ReleaseFailed(f"{self.ref} in {self.cluster} does not go away: is its node there?", "environment")

    def failed(self, reason: str) -> ImageFailed:
        log = self.cluster.logs(self.ref.name, NAME, LINES)[-CHARACTERS:]
        said = f"the last that it printed:\n{log}" if log else "it printed nothing"
        return ImageFailed(f"{self.image} does not work: {reason}\n{said}")


def _terminated(pod: Json) -> Json | None:
    """How the app's container ended, where it has."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return next((dead for each in statuses if (dead := (each.get("state") or {}).get("terminated"))), None)


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
