"""Tandem itself on the tests' cluster, once a test process: server, databases, worker, receiver, and one small app."""

import contextlib
import fcntl
import json
import secrets
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tandem.models import facts_of, files_of, open_store
from tandem.settings import Settings
from tests import docker_engine, kubernetes_cluster
from tests.contracts.conftest import free_port
from tests.contracts.registries.conftest import running
from tests.kubernetes_cluster import Cluster
from tests.kubernetes_role import ROLE
from tests.service import overlay, tiny
from tests.service.images import Images, service_images
from tests.service.outside import door, git_over_http

cluster, engine = kubernetes_cluster.cluster, docker_engine.engine
HOST = "10.255.0.1"  # the node's address, which its pods reach
S3 = Path(__file__).parents[1] / "contracts" / "s3_server.py"
KEYS = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_DEFAULT_REGION": "us-east-1"}


@dataclass(frozen=True)
class Service:
    """Tandem in `namespace`, the app's environment in `app`; `receiver` is the URL that senders know."""

    cluster: Cluster
    namespace: str
    app: str
    root: tiny.Root
    repository: str
    receiver: str
    own: Path  # the overlay that was applied
    hook: str = field(repr=False)
    auth: str = field(repr=False)

    def kubectl(self, *words: str, given: str = "") -> str:
        return self.cluster.kubectl("-n", self.namespace, *words, given=given)

    def objects(self, *words: str, namespace: str = "") -> list[dict[str, Any]]:
        """What `kubectl get` finds."""
        found = self.cluster.kubectl("-n", namespace or self.namespace, "get", *words, "-o", "json")
        return list(json.loads(found)["items"])

    def prefect(self, path: str, body: object | None = None) -> Any:
        """Prefect's API, as a pod asks it: by way of one, since nothing leads there from outside."""
        program = (
            "import json, os, sys, tandem.triggers.api as a; api = a.connect(patience=60); "
            "body = json.loads(sys.argv[2]); "
            "print(json.dumps(api.get(sys.argv[1]) if body is None else api.post(sys.argv[1], body)))"
        )
        words = ("exec", "deploy/worker", "-c", "worker", "--", "python", "-c", program, path, json.dumps(body))
        return json.loads(self.kubectl(*words))

    def greeting(self) -> str | None:
        """What the app's users get; None where nobody answers."""
        for found in self.objects("services", namespace=self.app):
            for given in found["status"].get("loadBalancer", {}).get("ingress", []):
                with contextlib.suppress(httpx.HTTPError):
                    return str(httpx.get(f"http://{given['ip']}/greeting", timeout=30).json())
        return None


def until(condition: Callable[[], Any], seconds: float, last_seen: Callable[[], object] = lambda: "") -> Any:
    """What `condition` gives as soon as it gives anything."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {last_seen()}"
        time.sleep(0.5)
    return found


@contextlib.contextmanager
def whole(cluster: Cluster) -> Iterator[None]:
    """As long as this is open, no other test process ends a part of the cluster."""
    with Path(cluster.in_use.name).open("w") as lock:  # not the cluster's own, which a namespace's end gives back
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield


@pytest.fixture
def undisturbed(cluster: Cluster) -> Iterator[None]:
    """For a test that has no namespace of its own."""
    with whole(cluster):
        yield


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """moto's S3 with a bucket: host:port, as pods reach it."""
    folder = tmp_path_factory.mktemp("s3")
    port = free_port()

    def ready() -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.put(f"http://127.0.0.1:{port}/models").status_code < 500
        return False

    with running([sys.executable, S3, str(port)], folder / "log", ready), door(HOST, f"127.0.0.1:{port}") as address:
        yield address


@pytest.fixture(scope="session")
def images(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Images]:
    """The service's images, in a registry that the cluster pulls from."""
    with service_images(lambda: str(request.getfixturevalue("engine"))) as found:
        yield found


@pytest.fixture(scope="module")  # what runs on takes a third of a processor: it ends with its tests
def service(
    cluster: Cluster, images: Images, store: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """Everything up; the app has a model and no commit yet."""
    if cluster.folder is None:
        pytest.skip("the service's test needs an address of this machine that pods reach: unset KUBECONFIG")
    folder = tmp_path_factory.mktemp("service")
    name, app = f"tandem-{uuid.uuid4().hex[:8]}", f"staging-{uuid.uuid4().hex[:8]}"
    (folder / "git").mkdir()
    with git_over_http(HOST, folder / "git") as git:
        registry = images.tandem.partition("/")[0]
        repository = f"{git}/root.git"
        with door(HOST, registry) as way:
            places = tiny.Places(
                repository, f"s3://models/tiny?endpoint=http://{store}", images.base, f"{registry}/{name}", app
            )
            root = tiny.make(folder / "root", folder / "git" / "root.git", places)
            publish(folder / "model", root)
            root.push("first")
            written = overlay.write(folder, name, images, repository, (int(registry.partition(":")[2]), way))
            hook, auth = secrets.token_hex(16), f"tandem:{secrets.token_hex(16)}"
            with applied(cluster, written, name, app, hook, auth):
                with whole(cluster):
                    address = until(lambda: lead(cluster, name), 600, lambda: seen(cluster, name))
                yield Service(cluster, name, app, root, repository, address, written[0], hook, auth)


@contextlib.contextmanager
def applied(cluster: Cluster, folders: list[Path], name: str, app: str, hook: str, auth: str) -> Iterator[None]:
    """Secrets, `kubectl apply -k`, and the Role of an environment bound to who releases; removed afterwards."""
    try:
        with whole(cluster):
            cluster.kubectl("create", "namespace", name)
            make_secrets(cluster, name, hook, auth)
            for folder in folders:
                cluster.kubectl("apply", "-k", str(folder))
            cluster.kubectl("create", "namespace", app)
            cluster.kubectl("-n", app, "apply", "-f", str(ROLE))
            account = f"--serviceaccount={name}:release"
            cluster.kubectl("-n", app, "create", "rolebinding", "tandem", "--role=tandem", account)
        yield
    finally:
        names = (name, f"{name}-trials", app)
        with whole(cluster):
            cluster.kubectl("delete", "namespace", "--ignore-not-found", "--wait=false", *names)


def make_secrets(cluster: Cluster, name: str, hook: str, auth: str) -> None:
    """As docs/run-on-kubernetes.md says it."""
    database, redis = secrets.token_hex(16), secrets.token_hex(16)
    found = {
        "database": {
            "password": database,
            "url": f"postgresql+asyncpg://tandem:{database}@postgres:5432/tandem",
        },
        "redis": {"password": redis, "url": f"redis://:{redis}@redis:6379/0"},
        "api": {"auth": auth},
        "hooks": {"HOOK": hook},
        "runs": KEYS,
    }
    for secret, content in found.items():
        words = [f"--from-literal={key}={value}" for key, value in content.items()]
        cluster.kubectl("-n", name, "create", "secret", "generic", secret, *words)


def lead(cluster: Cluster, name: str) -> str | None:
    """The receiver's address, once everything is ready."""
    kinds = ("deployments,statefulsets", "-o", "json")
    for each in json.loads(cluster.kubectl("-n", name, "get", *kinds))["items"]:
        if each["status"].get("readyReplicas", 0) < each["spec"]["replicas"]:
            return None
    found = json.loads(cluster.kubectl("-n", name, "get", "service", "receiver", "-o", "json"))
    given = found["status"].get("loadBalancer", {}).get("ingress")
    return f"http://{given[0]['ip']}" if given else None


def seen(cluster: Cluster, name: str) -> str:
    """Pods and what they print, for a test that fails."""
    said = [cluster.kubectl("-n", name, "get", "pods", "-o", "wide")]
    for part in ("api", "services", "worker", "receiver", "postgres", "redis", "run"):
        with contextlib.suppress(AssertionError):
            words = ("logs", "-l", f"tandem.dev/part={part}", "--all-containers", "--tail=15", "--prefix")
            said.append(cluster.kubectl("-n", name, *words))
    return "\n".join(said)


def publish(folder: Path, root: tiny.Root) -> None:
    """A model, as `tandem publish` stores it."""
    folder.mkdir()
    (folder / "model.json").write_text(json.dumps({"answer": 7}))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in KEYS.items():
            patch.setenv(name, value)
        files = files_of(folder)
        open_store(Settings.load("tiny", root.folder).toml.model, root.folder).publish(
            "answers", files, facts_of(files)
        )
