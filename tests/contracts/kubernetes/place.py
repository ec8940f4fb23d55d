"""A namespace to release into: images of the stranger's service, its YAML, targets, and the steps of a flow."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kubernetes.client import ApiClient

from tandem.errors import ReleaseFailed
from tandem.image_config import ImageConfig, config_bytes
from tandem.images.base import copy_layers
from tandem.images.layers import Entry, layer_blob
from tandem.manifests import CONFIG, blob_of
from tandem.records import Candidate, Image, ImageManifest, Pair, Progress, Release, State, Versioned
from tandem.registries import open_registry
from tandem.targets import transitions
from tandem.targets.advance import advance
from tandem.targets.kubernetes import owners
from tandem.targets.kubernetes.cluster import Cluster
from tandem.targets.kubernetes.objects import File, Json, Ref
from tandem.targets.kubernetes.target import KubernetesTarget
from tests.docker_engine import BaseImage
from tests.kubernetes_app import SERVICE as SERVICE_YAML
from tests.kubernetes_cluster import Cluster as RealCluster

LAYER = "application/vnd.oci.image.layer.v1.tar"
APP = (Path(__file__).parents[1] / "targets" / "app.py").read_bytes()
AT = datetime(2026, 1, 1, tzinfo=UTC)
DEPLOYMENT, SERVICE = Ref("apps/v1", "Deployment", "digits"), Ref("v1", "Service", "digits")
RULES = Ref("v1", "ConfigMap", "rules")


@dataclass
class Place:
    """`files` is the YAML that the next release finds; `where` the images' HOST/REPOSITORY."""

    real: RealCluster
    namespace: str
    where: str
    folder: Path
    base: BaseImage
    files: Sequence[File] = field(default_factory=lambda: (quick(), service()))

    def api(self, client: ApiClient | None = None, patience: float = 90.0) -> Cluster:
        """The namespace, by a client of its own."""
        return Cluster(client or self.real.api(), self.namespace, self.real.context, patience)

    def target(self, client: ApiClient | None = None, where: str = "") -> KubernetesTarget:
        """Environment `local` of the app, here."""
        return KubernetesTarget(self.api(client), "digits", "local", where or self.where, lambda commit: self.files)

    def kubectl(self, *words: str, given: str = "") -> str:
        """What kubectl prints in this namespace."""
        return self.real.kubectl("-n", self.namespace, *words, given=given)

    def image(self, version: str, how: str = "", command: Sequence[str] = ()) -> Image:
        """An image whose app says that it is this version, and that behaves as `how` says."""
        registry = open_registry(self.where, self.folder)
        code = [Entry("app/app.py", blob_of(APP, "app.py")), Entry("app/version", blob_of(version.encode(), "version"))]
        model = [Entry("model/weights", blob_of(b"weights", "weights"))]
        layers = tuple(registry.write(layer_blob(layer), LAYER) for layer in (code, model))
        below = copy_layers(self.base.image, registry)
        argv = tuple(command) or ("python3", "app.py", "0.0.0.0:8000", how)
        config = ImageConfig(
            labels={"dev.tandem.base": self.base.image.digest},
            command=argv,
            env={"PATH": "/usr/bin:/bin", "MODEL_DIR": "/model"},
            workdir="/app",
            user="10001",
            diff_ids=tuple(layer.digest for layer in (*below, *layers)),
        )
        written = registry.write(blob_of(config_bytes(config), "config.json"), CONFIG)
        manifest = ImageManifest(written, (*below, *layers))
        return Image(registry, registry.put(manifest, version.replace(" ", "-")).digest, manifest)


def candidate(image: Image) -> Candidate:
    """A candidate of which all is new."""
    return Candidate("digits", Pair(image.digest[7:47], image.digest[7:], "e" * 64), image.digest)


def begin(target: KubernetesTarget, image: Image, name: str) -> Versioned[State]:
    """As a flow does before the first change."""
    release = Release(name, candidate(image), AT)
    return advance(target, target.state(), lambda s: transitions.begun(s, release, target.snapshot()))


def bring_in(target: KubernetesTarget, image: Image, name: str) -> Versioned[State]:
    """A release that goes well, to its end."""
    state = begin(target, image, name)
    list(target.roll_out(image, state))
    state = advance(target, state, lambda s: transitions.verified(s, AT))
    list(target.finish(image))
    return state


def take_back(target: KubernetesTarget, state: Versioned[State], failure: ReleaseFailed) -> Versioned[State]:
    """As a flow does after a release that failed."""
    state = advance(target, state, lambda s: transitions.at(s, "roll back", failure.reason, failure.fault))
    assert state.value.under_way
    list(target.restore(state.value.under_way.snapshot, state))
    return advance(target, state, lambda s: transitions.rolled_back(s, AT))


def stand(place: Place) -> None:
    """Version v1 runs, as the last good release, whatever a test before left."""
    place.files, target = (quick(), service()), place.target()
    state = target.state()
    if state.value.under_way:
        take_back(target, state, ReleaseFailed("left by another test", "environment"))
    elif state.value.current is None:
        bring_in(target, place.image("v1"), "r-1")


def go_to(steps: Iterator[Progress], message: str) -> None:
    """Take steps until one says this."""
    while message not in next(steps).message:
        pass


def as_it_is(place: Place, *refs: Ref) -> list[Json]:
    """Objects but for what controllers and the clock change: content, and whose each field is."""
    return [_still(place.api().get(ref)) for ref in refs or (DEPLOYMENT, SERVICE)]


def _still(body: Json | None) -> Any:
    if body is None:
        return None
    fields = [{k: v for k, v in each.items() if k != "time"} for each in owners.of_fields(body)]
    return owners.content(body), sorted(fields, key=lambda each: (each["manager"], each["operation"]))


def pods(place: Place) -> dict[str, int]:
    """The pods that are not ending, with how often their containers were started again."""
    found = [pod for pod in place.api().items("v1", "Pod")[0] if "deletionTimestamp" not in pod["metadata"]]
    return {
        pod["metadata"]["uid"]: sum(each["restartCount"] for each in pod["status"].get("containerStatuses") or ())
        for pod in found
    }


def quick(change: Callable[[Json], object] = lambda body: None, name: str = "digits") -> File:
    """The app's Kubernetes Deployment with pods that end at once, changed."""
    patient = {"timeoutSeconds": 10, "failureThreshold": 10}  # an app that does not answer for some seconds stays ready
    probe = {"httpGet": {"path": "/readyz", "port": 8000}, "periodSeconds": 1, **patient}
    resources = {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}}
    container = {"name": "app", "image": "digits", "readinessProbe": probe, "resources": resources}
    pod = {"terminationGracePeriodSeconds": 1, "automountServiceAccountToken": False, "containers": [container]}
    spec: Json = {
        "replicas": 1,
        "progressDeadlineSeconds": 120,
        "strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": "100%"}},
        "selector": {"matchLabels": {"app": name}},
        "template": {"metadata": {"labels": {"app": name}}, "spec": pod},
    }
    body: Json = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}
    change(body)
    return File(f"deployments/digits/kubernetes/{name}.yaml", json.dumps(body).encode())


def service() -> File:
    """The app's Service."""
    return File("deployments/digits/kubernetes/service.yaml", SERVICE_YAML.encode())


def rules(name: str = "rules") -> File:
    """A ConfigMap."""
    text = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{a: b}}\n"
    return File(f"deployments/digits/kubernetes/{name}.yaml", text.encode())


def pod_of(body: Json) -> Json:
    """The pod's spec in a Kubernetes Deployment."""
    found: Json = body["spec"]["template"]["spec"]
    return found


def container_of(body: Json) -> Json:
    """Its only container."""
    found: Json = pod_of(body)["containers"][0]
    return found
