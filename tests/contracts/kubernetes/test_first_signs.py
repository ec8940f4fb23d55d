"""A bad release is found at its first sign, blamed on whose fault it is, and exactly what ran is back."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tandem.errors import ReleaseFailed
from tandem.records import Image
from tandem.targets.kubernetes.objects import Json
from tests.contracts.kubernetes.place import (
    Place,
    as_it_is,
    begin,
    container_of,
    pod_of,
    pods,
    quick,
    service,
    stand,
    take_back,
)

EATS = ("python3", "-c", "print('eats', flush=True); all = b'x' * 10**9")
NO_DATABASE = {"name": "wait", "image": "digits", "command": ["sh", "-c", "echo no database; exit 3"]}
LATE = ("within its progressDeadlineSeconds", "and nothing moved")  # what is said where no sign came in time
MOUNT = {"name": "rules", "configMap": {"name": "absent"}}


@dataclass(frozen=True)
class Bad:
    """What is wrong with a release, and what must be said of it."""

    reason: str
    fault: str
    log: str = ""
    how: str = ""
    command: tuple[str, ...] = ()
    change: Callable[[Json], Any] = lambda body: None
    image: Callable[[Image], Image] = lambda image: image
    where: str = ""
    given: str = ""  # what stands in the namespace before


def _never_ready(body: Json) -> None:
    body["spec"]["progressDeadlineSeconds"] = 15  # in which a busy machine's pod starts and is asked


def _nowhere(body: Json) -> None:
    pod_of(body)["nodeSelector"] = {"disk": "gold"}


def _mounts(body: Json) -> None:
    pod_of(body)["volumes"] = [MOUNT]
    container_of(body)["volumeMounts"] = [{"name": "rules", "mountPath": "/rules"}]


def _two(body: Json) -> None:
    body["spec"]["replicas"] = 2


def _killed(body: Json) -> None:
    """As soon as it listens, on port 8000: by then it has printed that it starts."""
    ask = "until grep -q :1F40 /proc/net/tcp; do sleep 0.1; done; echo too slow; exit 1"
    probe = {"exec": {"command": ["sh", "-c", ask]}, "periodSeconds": 1, "timeoutSeconds": 60, "failureThreshold": 1}
    container_of(body)["livenessProbe"] = probe
    container_of(body)["readinessProbe"]["initialDelaySeconds"] = 60


def _of(kind: str, spec: Json) -> str:
    return json.dumps({"apiVersion": "v1", "kind": kind, "metadata": {"name": "limit"}, "spec": spec})


BAD = {
    "absent": Bad(
        "the image is not in the registry", "environment", image=lambda i: replace(i, digest="sha256:" + "4" * 64)
    ),
    "unreachable": Bad("the registry cannot be reached", "environment", where="127.0.0.1:1/none/app403"),
    "no program": Bad("does not start: .*pyhton", "candidate", command=("pyhton",)),
    "crash": Bad(r"ended \(exit code 1\)", "candidate", "it cannot find its model", how="crash"),
    "memory": Bad("more memory than its limit", "candidate", "eats", command=EATS),
    "never ready": Bad(
        r"not ready within its progressDeadlineSeconds, 15 s.*statuscode: 503",
        "candidate",
        "version never ready starts",
        how="never-ready",
        change=_never_ready,
    ),
    "no variables": Bad(
        'configmap "absent" not found',
        "environment",
        change=lambda b: container_of(b).update(envFrom=[{"configMapRef": {"name": "absent"}}]),
    ),
    "no volume": Bad('configmap "absent" not found', "environment", change=_mounts),
    "init": Bad(
        r"container wait .* \(exit code 3\)",
        "candidate",
        "no database",
        change=lambda b: pod_of(b).update(initContainers=[NO_DATABASE]),
    ),
    "liveness": Bad("liveness probe.*too slow", "candidate", "starts", change=_killed),
    "no room": Bad("no room .*affinity/selector", "environment", change=_nowhere),
    "quota": Bad("exceeded quota: limit", "environment", given=_of("ResourceQuota", {"hard": {"pods": "1"}})),
    "quota for one": Bad(
        "pods are refused: .*exceeded quota: limit",
        "environment",
        change=_two,
        given=_of("ResourceQuota", {"hard": {"pods": "2"}}),
    ),
    "least memory": Bad(
        "minimum memory usage",
        "environment",
        given=_of("LimitRange", {"limits": [{"type": "Container", "min": {"memory": "32Mi"}}]}),
    ),
    "field": Bad(r"spec.template.spec.containers\[0\].ports", "candidate", change=lambda b: _port(b, 99999)),
}


def _port(body: Json, port: int) -> None:
    container_of(body)["ports"] = [{"containerPort": port}]


@pytest.fixture
def stands(shared: Place) -> Place:
    """Version v1 runs, whatever a test before left."""
    stand(shared)
    return shared


@contextmanager
def standing(place: Place, given: str) -> Iterator[None]:
    if given:
        place.kubectl("apply", "-f", "-", given=given)
        deadline = time.monotonic() + 120
        while json.loads(given)["kind"] == "ResourceQuota":  # it counts what is there first
            if json.loads(place.kubectl("get", "resourcequota", "limit", "-o", "json")).get("status", {}).get("used"):
                break
            assert time.monotonic() < deadline
    try:
        yield
    finally:
        if given:
            place.kubectl("delete", "-f", "-", given=given)


def fails(place: Place, name: str, bad: Bad, record: Callable[[str, object], None]) -> None:
    before, ran = as_it_is(place), pods(place)
    place.files = (quick(bad.change), service())
    target = place.target(where=bad.where)
    state = begin(target, bad.image(place.image(name, bad.how, bad.command)), f"r-{name}")
    began = time.monotonic()
    with pytest.raises(ReleaseFailed, match=f"(?s){bad.reason}") as failed:
        list(target.roll_out(bad.image(place.image(name, bad.how, bad.command)), state))
    took = time.monotonic() - began
    print(f"{name}: {took:.1f} s: {failed.value.fault}: {failed.value.reason}\n  {failed.value.log!r}")
    assert failed.value.fault == bad.fault
    assert bad.log in failed.value.log
    assert set(pods(place).items()) >= set(ran.items())
    began = time.monotonic()
    take_back(place.target(), state, failed.value)
    print(f"  back after {time.monotonic() - began:.1f} s")
    record("seconds", took)
    assert (as_it_is(place), pods(place)) == (before, ran)
    assert any(late in failed.value.reason for late in LATE) == (name == "never ready"), "found by a sign of its own"


@pytest.mark.parametrize("name", BAD)
def test_a_bad_release_is_found_blamed_and_taken_back(
    stands: Place, name: str, record_property: Callable[[str, object], None]
) -> None:
    with standing(stands, BAD[name].given):
        fails(stands, name, BAD[name], record_property)


def test_an_image_that_may_not_be_pulled(
    stands: Place, acr: str, record_property: Callable[[str, object], None]
) -> None:
    bad = Bad("the cluster may not pull the image", "environment", where=f"{acr}/private/app")
    fails(stands, "forbidden", bad, record_property)


def test_pods_that_the_namespace_does_not_admit(stands: Place, record_property: Callable[[str, object], None]) -> None:
    key = "pod-security.kubernetes.io/enforce"
    stands.real.kubectl("label", "namespace", stands.namespace, f"{key}=restricted")
    try:
        fails(stands, "admission", Bad("violates PodSecurity", "environment"), record_property)
    finally:
        stands.real.kubectl("label", "namespace", stands.namespace, f"{key}-")
