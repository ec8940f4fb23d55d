"""The app's objects as a release applies them: its image by digest, what it is made of, whose it is."""

import copy
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tandem.errors import ReleaseFailed
from tandem.records import Image
from tandem.targets.kubernetes.objects import Json, Wanted

LABEL = "tandem.dev/environment"  # on every object and pod: app.environment
RELEASE = "tandem.dev/release"
SCALED = "HorizontalPodAutoscaler"
DNS_LABEL = "service.beta.kubernetes.io/azure-dns-label-name"  # https://learn.microsoft.com/azure/aks/static-ip
TEMPLATED = {"Deployment": ("spec", "template"), "CronJob": ("spec", "jobTemplate", "spec", "template")}
OTHERS = ("StatefulSet", "DaemonSet", "Job", "ReplicaSet", "Pod", "ReplicationController")


@dataclass(frozen=True)
class Marks:
    """What a release writes on the objects. `label` is app.environment; `place` the image as a pod pulls it."""

    app: str
    label: str
    place: str
    release: str
    notes: dict[str, str]
    pull_secret: str | None = None
    dns_label: str | None = None


def marks(image: Image, app: str, environment: str, release: str, place: str) -> Marks:
    """The marks of an image's candidate."""
    facts = image.manifest.annotations
    names = ("org.opencontainers.image.version", "org.opencontainers.image.revision", "dev.tandem.model.version")
    keys = ("tandem.dev/candidate", "tandem.dev/commit", "tandem.dev/model")
    notes = {key: facts[name] for key, name in zip(keys, names, strict=True) if name in facts}
    return Marks(app, f"{app}.{environment}", f"{place}@{image.digest}", release, notes)


def prepare(wanted: Sequence[Wanted], given: Marks, scaled: Collection[tuple[str, str]] = ()) -> list[Wanted]:
    """The objects to apply, workloads last. Raises ReleaseFailed where no container, or no workload, is the app's.

    `scaled`: kind and name of what autoscalers in the cluster scale; those in the YAML are seen here.
    """
    scaled = {*scaled, *(scales(each.body) for each in wanted if each.body["kind"] == SCALED)}
    done = [replace(each, body=_prepared(each, given, scaled)) for each in wanted]
    for each in done:
        if each.body["kind"] in OTHERS:
            raise ReleaseFailed(f"{each.where}: a {each.body['kind']} is not rolled out; use a Deployment", "candidate")
    if not any(each.body["kind"] == "Deployment" for each in done):
        raise ReleaseFailed(
            "there is no Kubernetes Deployment in the app's YAML: nothing would run the image", "candidate"
        )
    return sorted(done, key=lambda each: each.body["kind"] in (*TEMPLATED, SCALED))


def template(body: Json) -> Json | None:
    """The pod template of a workload; None where the object has none."""
    found: Any = body
    for key in TEMPLATED.get(body["kind"], ("",)):
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else None


def _prepared(wanted: Wanted, given: Marks, scaled: set[tuple[str, str]]) -> Json:
    body = copy.deepcopy(wanted.body)
    metadata = body["metadata"]
    metadata.pop("namespace", None)
    metadata["labels"] = {**(metadata.get("labels") or {}), LABEL: given.label}
    metadata["annotations"] = {**(metadata.get("annotations") or {}), **given.notes, RELEASE: given.release}
    if (body["kind"], metadata["name"]) in scaled and isinstance(body.get("spec"), dict):
        body["spec"].pop("replicas", None)  # whoever scales, owns them
    if given.dns_label and body["kind"] == "Service" and (body.get("spec") or {}).get("type") == "LoadBalancer":
        metadata["annotations"][DNS_LABEL] = given.dns_label
    pods = template(body)
    if pods is not None:
        _mark_pods(wanted, pods, given)
    return body


def _mark_pods(wanted: Wanted, pods: Json, given: Marks) -> None:
    metadata, spec = pods.setdefault("metadata", {}), pods.get("spec")
    containers = list(_containers(spec)) if isinstance(spec, dict) else []
    if not isinstance(spec, dict) or not containers:
        raise ReleaseFailed(f"{wanted.where}: spec.template.spec.containers: there must be one at least", "candidate")
    own = [each for each in containers if _is_own(each, given)]
    if not own:
        images = ", ".join(str(each.get("image")) for each in containers)
        raise ReleaseFailed(
            f"{wanted.where}: no container is the app's ({images}): write image: {given.app} where its image belongs",
            "candidate",
        )
    for each in own:
        each["image"] = given.place
    metadata["labels"] = {**(metadata.get("labels") or {}), LABEL: given.label}
    metadata["annotations"] = {**(metadata.get("annotations") or {}), **given.notes}
    if given.pull_secret:
        secrets = spec.setdefault("imagePullSecrets", [])
        if {"name": given.pull_secret} not in secrets:
            secrets.append({"name": given.pull_secret})


def _containers(spec: Json) -> Iterator[Json]:
    for key in ("initContainers", "containers"):
        yield from (each for each in spec.get(key) or [] if isinstance(each, dict))


def _is_own(container: Json, given: Marks) -> bool:
    """Written as the app's name, or as the repository that its images are pushed to; tag and digest do not count."""
    image = str(container.get("image", "")).partition("@")[0]
    last = image.rpartition("/")[2]
    image = image[: len(image) - len(last)] + last.partition(":")[0]
    return image in (given.app, given.place.partition("@")[0])


def scales(body: Json) -> tuple[str, str]:
    """Kind and name of what a HorizontalPodAutoscaler scales."""
    reference = (body.get("spec") or {}).get("scaleTargetRef") or {}
    return str(reference.get("kind")), str(reference.get("name"))
