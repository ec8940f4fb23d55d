"""Every target that the contract is held by: a line in `target`, and a fixture that starts the real thing."""

import json
import platform
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from docker import DockerClient
from docker.errors import NotFound

from tandem.errors import NotInRegistry
from tandem.image_config import ImageConfig, config_bytes, config_of
from tandem.images.base import copy_layers
from tandem.images.layers import Entry, layer_blob
from tandem.manifests import CONFIG, blob_of
from tandem.records import Candidate, Image, ImageManifest, Pair, Progress, Release, State, Versioned
from tandem.registries import open_registry
from tandem.seams import Target
from tandem.settings import Request, VerifySettings
from tandem.targets.contained import ENVIRONMENT
from tandem.targets.docker import DockerTarget
from tandem.targets.kubernetes.cluster import Cluster
from tandem.targets.kubernetes.target import KubernetesTarget
from tandem.targets.process import ProcessTarget
from tandem.templates import resolve
from tests.contracts import conftest as contracts
from tests.contracts.registries.conftest import repository
from tests.docker_engine import BaseImage, base_image, engine, engine_registry
from tests.kubernetes_app import DEPLOYMENT, app_files
from tests.kubernetes_cluster import Cluster as RealCluster
from tests.kubernetes_cluster import cluster, cluster_registry, namespace
from tests.kubernetes_role import role_client

__all__ = ["base_image", "cluster", "cluster_registry", "engine", "engine_registry", "namespace", "repository"]

LAYER = "application/vnd.oci.image.layer.v1.tar"
APP = Path(__file__).with_name("app.py").read_bytes()
TAG = f"cpython-{sys.version_info[0]}.{sys.version_info[1]}-{sys.platform}-{platform.machine()}"
Make = Callable[..., Image]


@pytest.fixture(params=["process", "docker", "kubernetes"])
def kind(request: pytest.FixtureRequest) -> str:
    """Which target is under test."""
    return str(request.param)


@pytest.fixture
def make_image(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """make_image("one", how="crash", command=…): an image whose app says that it is version "one"."""
    found: BaseImage | None = request.getfixturevalue("base_image") if kind != "process" else None
    where = f"{found.name.partition('/')[0]}/{request.getfixturevalue('repository')}" if found else "oci:registry"
    registry = open_registry(where, tmp_path)

    def make(
        version: str,
        how: str = "",
        command: tuple[str, ...] | None = None,
        base: str = "",
        port: int = 8000,
        entries: tuple[Entry, ...] = (),
    ) -> Image:
        code = [Entry("app/app.py", blob_of(APP, "app.py")), Entry("app/version", blob_of(version.encode(), "version"))]
        model = [Entry("model/weights", blob_of(b"weights" * 1000, "weights"))]
        layers = tuple(registry.write(layer_blob(layer), LAYER) for layer in ([*code, *entries], model))
        command = command or ("python", "app.py", "{listen}", how)
        labels = {
            "dev.tandem.base": base or (found.image.digest if found else f"none {TAG}"),
            "dev.tandem.command": json.dumps(command),
            "dev.tandem.env": json.dumps({"MODEL_DIR": "{model}"}),
            "dev.tandem.model.path": "/model",
            "dev.tandem.port": str(port),
        }
        config = ImageConfig(labels=labels, workdir="/app", ports=(f"{port}/tcp",))
        below = copy_layers(found.image, registry) if found else ()
        if found:
            words = ("python3" if word == "python" else word for word in command)
            argv = tuple(resolve(word, model="/model", port=port, listen=f"0.0.0.0:{port}") for word in words)
            env = {**config_of(found.image).env, "MODEL_DIR": "/model"}
            config = replace(config, command=argv, env=env, user="10001")
        config = replace(config, diff_ids=tuple(layer.digest for layer in (*below, *layers)))
        manifest = ImageManifest(
            registry.write(blob_of(config_bytes(config), "config.json"), CONFIG), (*below, *layers)
        )
        return Image(registry, registry.put(manifest, version).digest, manifest)

    return make


@pytest.fixture
def free_port() -> int:
    """A port that nobody has now."""
    return contracts.free_port()


@pytest.fixture
def verify() -> VerifySettings:
    """Ready at /readyz, and /version says anything but "wrong", in the time that a busy machine takes."""
    request = Request(path="/version", json={"/model": True}, contains='"version": "v', within=60.0)
    return VerifySettings(ready="/readyz", time_limit=60.0, request=(request,))


@pytest.fixture
def hasten(kind: str, target: Target) -> Callable[[], None]:
    """hasten(): what never becomes ready is found out as soon as even a busy machine has surely started it."""

    def sooner() -> None:
        if isinstance(target, KubernetesTarget):
            deployment = DEPLOYMENT.replace("progressDeadlineSeconds: 120", "progressDeadlineSeconds: 30")
            target.files = lambda commit: app_files(deployment)
        else:
            limit = {"process": 10.0, "docker": 20.0}[kind]
            target.verify = target.verify.model_copy(update={"time_limit": limit})

    return sooner


@pytest.fixture
def process(tmp_path: Path, free_port: int, verify: VerifySettings) -> Iterator[ProcessTarget]:
    """`process:` on a port of its own; nothing of it lives on after the test."""
    target = ProcessTarget("digits", "local", tmp_path / "home", f"127.0.0.1:{free_port}", verify)
    yield target
    target.stop()


@dataclass(frozen=True)
class Pulling:
    """The engine, and the test's own repository, which asks for no login."""

    address: str
    repository: str

    def pull(self, digest: str) -> str:
        with closing(DockerClient(base_url=self.address)) as client:
            try:
                client.images.pull(self.repository, tag=digest)
            except NotFound as error:
                raise NotInRegistry(str(error)) from None
        return f"{self.repository}@{digest}"


@pytest.fixture
def docker(
    tmp_path: Path, free_port: int, verify: VerifySettings, engine: str, engine_registry: str, repository: str
) -> Iterator[DockerTarget]:
    """`docker:` on a port of its own; no container of it lives on after the test."""
    target = DockerTarget("digits", "local", tmp_path / "home", f"127.0.0.1:{free_port}", verify)
    target.engine = lambda: Pulling(engine, f"{engine_registry}/{repository}")
    yield target
    target.stop()
    client = DockerClient(base_url=engine)
    left = client.containers.list(all=True, filters={"label": f"{ENVIRONMENT}={target.folder}"}, ignore_removed=True)
    assert left == []
    client.close()


@pytest.fixture
def kubernetes(cluster: RealCluster, cluster_registry: str, namespace: str, repository: str) -> KubernetesTarget:
    """`kubernetes://` in a namespace of its own, with the permissions of docs/kubernetes-role.yaml."""
    place = f"{cluster_registry}/{repository}"
    there = Cluster(role_client(cluster, namespace), namespace, cluster.context)
    return KubernetesTarget(there, "digits", "local", place, lambda commit: app_files())


@pytest.fixture
def target(kind: str, request: pytest.FixtureRequest) -> Target:
    """The target under test."""
    found: Target = request.getfixturevalue(kind)
    return found


@pytest.fixture
def bring_in(target: Target) -> Callable[[Image], list[Progress]]:
    """Roll out an image under the state as it is now."""
    return lambda image: list(target.roll_out(image, target.state()))


@pytest.fixture
def record_release(target: Target) -> Callable[[str], Versioned[State]]:
    """Record that this digest is the last good release."""

    def record(digest: str) -> Versioned[State]:
        state, at = target.state(), datetime(2026, 1, 1, tzinfo=UTC)
        candidate = Candidate("digits", Pair("c" * 40, "d" * 64, "e" * 64), digest)
        release = Release(f"r-{digest[-6:]}", candidate, at, at, "released")
        history, verified = (release, *state.value.history), (digest, *state.value.verified)
        return target.record(Versioned(State("digits", "local", release, history, verified), state.token))

    return record


@pytest.fixture
def answer(target: Target) -> Callable[[], dict[str, object]]:
    """What the address that users use answers."""

    def ask() -> dict[str, object]:
        address = target.running().address
        assert address is not None
        found: dict[str, object] = httpx.get(f"{address}/version", trust_env=False, timeout=60).json()
        return found

    return ask


@pytest.fixture
def serves(kind: str, answer: Callable[[], dict[str, object]]) -> Callable[[str], None]:
    """serves("v2"): users are answered by that version; on Kubernetes as soon as every node knows (kube-proxy)."""
    patience = 60.0 if kind == "kubernetes" else 0.0

    def check(version: str) -> None:
        deadline = time.monotonic() + patience
        while True:
            last: object = None
            with suppress(httpx.TransportError):
                last = answer()["version"]
            if last == version:
                return
            assert time.monotonic() < deadline, f"{last} answers, not {version}"
            time.sleep(0.2)

    return check
