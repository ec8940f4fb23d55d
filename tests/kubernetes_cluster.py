"""Fixtures on a real Kubernetes, for any conftest.py to import: `cluster`, `namespace`, `cluster_registry`.

With KUBECONFIG set, its current context is used: any cluster that pulls from a registry on this machine's 127.0.0.1
and gives Services of type LoadBalancer an address. Without it, tests/cluster, which is started where it does not run
and stays (`make cluster-down` ends it). docs/kubernetes-cluster.md has more.
"""

import contextlib
import fcntl
import hashlib
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import pytest
from kubernetes import client
from kubernetes.client.exceptions import ApiException
from kubernetes.config import list_kube_config_contexts, new_client_from_config

UP = Path(__file__).parent / "cluster" / "up"
WATCHERS = ("kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")
LACKING = 3  # what `up` exits with where this machine cannot run a cluster


@dataclass(frozen=True)
class Cluster:
    """A Kubernetes that answers, as its administrator sees it."""

    kubeconfig: Path
    context: str
    in_use: TextIO = field(repr=False)  # locked, shared, by every test in a namespace of its own
    folder: Path | None = None  # where tests/cluster keeps NAME.pid and log/NAME.log; None: the cluster is not ours

    def api(self) -> client.ApiClient:
        """A client of the caller's own; `with` closes it."""
        return new_client_from_config(str(self.kubeconfig), self.context)

    def let_others(self) -> None:
        """A moment for the tests that end a part of the cluster: they wait until nobody else uses it."""
        fcntl.flock(self.in_use, fcntl.LOCK_UN)
        time.sleep(1)
        fcntl.flock(self.in_use, fcntl.LOCK_SH)

    @property
    def kubectl_argv(self) -> list[str]:
        """The program, and what leads it here."""
        program = str(self.folder.parent / "bin" / "kubectl") if self.folder else "kubectl"
        return [program, "--kubeconfig", str(self.kubeconfig), "--context", self.context]

    def kubectl(self, *words: str, given: str = "") -> str:
        """What kubectl printed, with `given` as its input; where it fails, the test fails with what it said."""
        done = subprocess.run([*self.kubectl_argv, *words], input=given, capture_output=True, text=True)
        assert done.returncode == 0, f"kubectl {' '.join(words)}: {done.stderr}"
        return done.stdout

    @contextlib.contextmanager
    def without(self, part: str, by: signal.Signals = signal.SIGKILL) -> Iterator[Callable[[], bool]]:
        """A part of the control plane or the node ("kube-apiserver", "kubelet", …) told to end; started again after.

        What it gives says whether the part lives on: an API server that is told to end does, for a minute.

        It waits until no other test process uses the cluster, and they wait for its end.
        """
        if self.folder is None:
            pytest.skip(f"{part} of a cluster that is not the tests' own is left alone: unset KUBECONFIG")
        self._alone()
        process = int((self.folder / f"{part}.pid").read_text())
        os.kill(process, by)
        try:
            yield lambda: _lives(process)
        finally:
            _end(process, part)  # an API server told to end lingers for a minute
            for name in WATCHERS if part == "kube-apiserver" else ():  # they would come back after up to a minute
                _end(int((self.folder / f"{name}.pid").read_text()), name)
            _up()
            fcntl.flock(self.in_use, fcntl.LOCK_SH)

    def _alone(self) -> None:
        """Wait until no other process uses the cluster."""
        deadline = time.monotonic() + 900
        while True:
            try:
                return fcntl.flock(self.in_use, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:  # what it held is gone then, too: flock(2)
                fcntl.flock(self.in_use, fcntl.LOCK_SH)
            assert time.monotonic() < deadline, (
                f"other tests or benchmarks have used the cluster for 600 s: lslocks names them ({self.in_use.name})"
            )
            time.sleep(0.01)  # the next test of the other process begins at once: between them it must be seen


def _end(process: int, part: str) -> None:
    deadline = time.monotonic() + 120
    while _lives(process):
        assert time.monotonic() < deadline, f"{part} (pid {process}) does not end"
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
        time.sleep(0.02)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The cluster of KUBECONFIG, or the tests' own, running: it stays, for every process and the next run."""
    with running_cluster() as found:
        yield found


@contextlib.contextmanager
def running_cluster() -> Iterator[Cluster]:
    """The same, for programs that are no tests."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tandem-tests"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "cluster.in-use").open("w") as in_use:
        said = subprocess.run([UP, "--kubeconfig"], capture_output=True, text=True, check=True).stdout
        own = Path(said.strip())
        file = Path(os.environ.get("KUBECONFIG", str(own)).split(os.pathsep)[0])
        if file == own:
            _up()
        context = list_kube_config_contexts(str(file))[1]["name"]
        yield Cluster(file, str(context), in_use, own.parent if file == own else None)


def _lives(process: int) -> bool:
    """Whether it is there, and no zombie that nobody waits for."""
    try:
        return bool(Path(f"/proc/{process}/cmdline").read_bytes())
    except OSError:
        return False


def _up() -> None:
    """Start what does not run of tests/cluster; one process at a time, the others wait."""
    done = subprocess.run([UP], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode == LACKING:
        pytest.skip(done.stdout.strip())
    assert done.returncode == 0, done.stdout[-2000:]


@pytest.fixture
def namespace(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of this test's own, in which pods may start; it is deleted afterwards, in the background."""
    with own_namespace(cluster, request.node.nodeid) as name:
        yield name


@contextlib.contextmanager
def own_namespace(cluster: Cluster, whose: str) -> Iterator[str]:
    """A namespace by a new name, that several tests may share."""
    name = f"test-{hashlib.sha256(whose.encode()).hexdigest()[:8]}-{uuid.uuid4().hex[:8]}"  # an older one may be ending
    fcntl.flock(cluster.in_use, fcntl.LOCK_SH)
    with cluster.api() as api:
        core = client.CoreV1Api(api)
        core.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name=name)))
        try:
            deadline = time.monotonic() + 120  # where the API server was ended, controllers come back after up to 30 s
            while not _accounts(core, name):  # a pod is refused before it is there
                assert time.monotonic() < deadline, f"no service account in {name} within 120 s: see the controllers"
                time.sleep(0.02)
            yield name
        finally:
            with contextlib.suppress(ApiException):  # the test deleted it
                core.delete_namespace(name)
            fcntl.flock(cluster.in_use, fcntl.LOCK_UN)


def _accounts(core: client.CoreV1Api, namespace: str) -> list[object]:
    return list(core.list_namespaced_service_account(namespace).items)


@pytest.fixture(scope="session")
def cluster_registry(cluster: Cluster, engine_registry: str) -> str:
    """A registry that asks for no login, from which the cluster pulls: host:port. It holds `base_image`.

    Import `engine_registry` and `base_image` of tests/docker_engine.py beside it. containerd takes plain HTTP from
    any port of 127.0.0.1, so each test process has one of its own; one behind a login (`acr`) works as well.
    """
    return engine_registry
