"""Whose fault it is, by what the kubelet, the scheduler and the runtime say."""

import pytest

from tandem.targets.kubernetes import diagnose
from tandem.targets.kubernetes.diagnose import Finding
from tandem.targets.kubernetes.objects import Json

PULL = 'Failed to pull image "{0}": failed to pull and unpack image "{0}": failed to resolve reference "{0}": {1}'
IMAGE = "r401.example/authorization/403/not found@sha256:4014034010"


def pod(state: Json | None = None, **more: object) -> Json:
    container = {"name": "app", "state": state or {}, "restartCount": 0, **more}
    return {"metadata": {"name": "p"}, "status": {"containerStatuses": [container]}}


def event(reason: str, message: str, name: str = "p") -> Json:
    return {"reason": reason, "message": message, "involvedObject": {"name": name}, "type": "Warning"}


def of(body: Json, *events: Json, waited: float = 0.0) -> Finding | None:
    return diagnose.of_pod(body, events, waited, {})


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("not found", "is not in the registry"),
        ("manifest unknown", "is not in the registry"),
        ("unexpected status from HEAD request: 403 Forbidden", "may not pull"),
        ("failed to authorize: failed to fetch anonymous token: 401 Unauthorized", "may not pull"),
        ("pull access denied, repository does not exist or may require authorization", "may not pull"),
        ("dial tcp 10.0.0.1:443: i/o timeout", "cannot be reached"),
        ("dial tcp: lookup r: no such host", "cannot be reached"),
    ],
)
def test_why_a_pull_failed_is_read_from_the_message_and_not_from_the_images_name(said: str, why: str) -> None:
    found = of(pod(), event("Failed", PULL.format(IMAGE, said)))
    assert found and found.fault == "environment" and why in found.reason


@pytest.mark.parametrize(
    ("reason", "message", "fault"),
    [
        ("RunContainerError", 'exec: "a": executable file not found in $PATH', "candidate"),
        ("RunContainerError", "exec /app: exec format error", "candidate"),
        ("CreateContainerError", "unable to find user app: no matching entries in passwd file", "candidate"),
        ("CreateContainerError", "context deadline exceeded", "environment"),
        ("RunContainerError", "write /sys/fs/cgroup/x: no space left on device", "environment"),
    ],
)
def test_a_container_that_does_not_start_is_the_images_fault_or_the_nodes(
    reason: str, message: str, fault: str
) -> None:
    found = of(pod({"waiting": {"reason": reason, "message": message}}))
    assert found and found.fault == fault and message in found.reason


def test_a_kubelet_that_has_not_heard_of_a_configmap_yet_asks_again() -> None:
    """Seen on a busy node: the first try timed out, and the second found it."""
    waiting = {"reason": "CreateContainerConfigError", "message": "failed to sync configmap cache: timed out waiting"}
    assert of(pod({"waiting": waiting})) is None
    assert of(pod({"waiting": waiting | {"message": 'configmap "rules" not found'}}))


def test_a_volume_whose_configmap_is_missing_is_tried_four_times() -> None:
    """However long the rollout has lasted: a pod may come late, and its kubelet learns of a new ConfigMap later."""
    missing = event("FailedMount", 'MountVolume.SetUp failed for volume "rules": configmap "rules" not found')
    assert of(pod(), missing | {"count": 3}, waited=600.0) is None
    found = of(pod(), missing | {"count": 4})
    assert found and found.fault == "environment"


def test_what_others_pods_say_is_not_this_ones() -> None:
    assert of(pod({"running": {}}), event("Failed", "Failed to pull image", name="another")) is None


def test_a_crash_from_before_the_rollout_is_none_of_it() -> None:
    body = pod({"running": {}}, lastState={"terminated": {"exitCode": 1}}, restartCount=2)
    assert diagnose.of_pod(body, [], 0.0, {"app": 2}) is None
    found = diagnose.of_pod(body, [], 0.0, {"app": 1})
    assert found and found.previous and found.fault == "candidate"


def test_an_autoscaler_that_makes_room_is_waited_for() -> None:
    body: Json = {"metadata": {"name": "p"}, "status": {"conditions": []}}
    body["status"]["conditions"] = [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no GPU"}
    ]
    assert of(body, waited=5.0) is None
    assert of(body, event("TriggeredScaleUp", "3->4"), waited=60.0) is None
    found = of(body, waited=60.0)
    assert found and found.fault == "environment" and "no GPU" in found.reason


def test_who_never_was_started_is_the_environments_fault() -> None:
    assert diagnose.never_ready("Deployment/a", "in time", [], []).fault == "environment"
    assert diagnose.never_ready("Deployment/a", "in time", [pod({"running": {}})], []).fault == "candidate"
