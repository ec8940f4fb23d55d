"""The sample app goes to staging and from there to production on a real cluster, under load; bad ones come back.

Runs are killed on the way, and reconcile ends what they began.
"""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from kubernetes import client

from benchmarks.kubernetes.load import Load
from tandem.triggers.api import ApiError, connect
from tests import docker_engine, kubernetes_cluster
from tests.contracts.registries.conftest import ENTRA, acr, acr_url, repository
from tests.docker_engine import BaseImage
from tests.end_to_end.conftest import ask_for_less
from tests.kubernetes_cluster import Cluster

engine, engine_registry, base_image = docker_engine.engine, docker_engine.engine_registry, docker_engine.base_image
cluster, namespace = kubernetes_cluster.cluster, kubernetes_cluster.namespace
__all__ = ["acr", "acr_url", "repository"]

CHECKOUT = Path(__file__).parents[2]
TANDEM = Path(sys.executable).with_name("tandem")
TAG = r"[0-9a-f]{12}-[0-9a-f]{12}-[0-9a-f]{8}"
Run = Callable[..., str]
RIGHT = "    classifier = ready_classifier()\n"
WRONG = f'    assert "KUBERNETES_SERVICE_HOST" not in __import__("os").environ\n{RIGHT}'
ACCOUNT = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: digits}
automountServiceAccountToken: false
imagePullSecrets: [{name: pull}]
"""


@pytest.fixture
def production(cluster: Cluster) -> Iterator[str]:
    """A second namespace."""
    name = f"production-{os.getpid()}"
    with cluster.api() as api:
        core = client.CoreV1Api(api)
        core.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name=name)))
        yield name
        core.delete_namespace(name)


def pull_secret(cluster: Cluster, namespace: str, registry: str, realm: str) -> None:
    """As `az acr login --expose-token` and `kubectl create secret docker-registry` make it."""
    token = json.loads(subprocess.run([sys.executable, ENTRA, "token"], capture_output=True, check=True).stdout)
    form = {"grant_type": "access_token", "service": registry, "access_token": token["accessToken"]}
    refresh = httpx.post(f"http://{realm}/oauth2/exchange", data=form, timeout=60).json()["refresh_token"]
    words = ("create", "secret", "docker-registry", "pull", f"--docker-server={registry}")
    user = "--docker-username=00000000-0000-0000-0000-000000000000"
    cluster.kubectl("-n", namespace, *words, user, f"--docker-password={refresh}")


@pytest.fixture
def root(
    tmp_path: Path, acr: str, acr_url: str, base_image: BaseImage, cluster: Cluster, namespace: str, production: str
) -> Path:
    """A clone whose app.toml names a registry behind ACR's login, a base image, staging and production."""
    root = tmp_path / "tandem"
    subprocess.run(["git", "clone", "-q", str(CHECKOUT), str(root)], check=True)
    asks = httpx.get(f"http://{acr}/v2/", timeout=60).headers["www-authenticate"]
    realm = re.search(r'realm="?http://([^/"]+)', asks)
    assert realm is not None
    folder = root / "deployments" / "digits"
    for name, place in (("staging", namespace), ("production", production)):
        pull_secret(cluster, place, acr, realm[1])
        overlay = folder / "kubernetes" / name / "serviceaccount.yaml"
        overlay.parent.mkdir()
        overlay.write_text(ACCOUNT)
    ask_for_less(toml := folder / "app.toml")
    text = toml.read_text()
    for key, value in {"base": base_image.name, "registry": acr_url}.items():
        text, found = re.subn(rf'(?m)^{key} = "[^"]*"', f'{key} = "{value}"', text)
        assert found == 1, key
    text += f'\n[environments.staging]\ntarget = "kubernetes://{cluster.context}/{namespace}"\n'
    text += f'\n[environments.production]\ntarget = "kubernetes://{cluster.context}/{production}"\nafter = "staging"\n'
    toml.write_text(text + "\n[environments.production.verify]\nsoak = 3\n")
    commit(root, "To Kubernetes")
    return root


def commit(root: Path, subject: str) -> None:
    git = ["git", "-C", str(root), "-c", "user.name=ann", "-c", "user.email=ann@example.org"]
    subprocess.run([*git, "add", "-A", "app", "deployments"], check=True)
    subprocess.run([*git, "commit", "-qm", subject], check=True)


@pytest.fixture
def env(root: Path, server: str, engine: str, cluster: Cluster) -> dict[str, str]:
    """What the command sees."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "PYTHON", "TANDEM_"))}
    env |= {"PREFECT_API_URL": server, "PREFECT_HOME": str(root / "prefect"), "DOCKER_HOST": engine}
    return env | {"KUBECONFIG": str(cluster.kubeconfig)}


@pytest.fixture
def tandem(root: Path, env: dict[str, str]) -> Iterator[Run]:
    """Runs the command in the clone; what it printed."""

    def run(*words: str, code: int = 0) -> str:
        done = subprocess.run([TANDEM, *words], cwd=root, env=env, capture_output=True, text=True)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    yield run
    run("down", "--everything")


@pytest.fixture
def killed(root: Path, env: dict[str, str], server: str) -> Callable[[str], None]:
    """Releases to staging, and kills the run as soon as its log says this; a minute later nobody holds the lock."""

    def kill(mark: str) -> None:
        words = [TANDEM, "release", "digits", "staging"]
        pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "start_new_session": True}
        with subprocess.Popen(words, cwd=root, env=env | {"PYTHONUNBUFFERED": "1"}, text=True, **pipe) as release:
            said = []
            for line in release.stdout or ():
                said.append(line)
                if mark in line:
                    os.killpg(release.pid, signal.SIGKILL)
        assert release.returncode == -signal.SIGKILL, "".join(said)
        api = connect({"PREFECT_API_URL": server}, patience=240)
        try:
            api.ask("DELETE", "v2/concurrency_limits/release-digits-staging")
        except ApiError as error:  # an answer was lost, and the second try finds nothing
            assert error.status == 404, error

    return kill


def runs(tandem: Run, environment: str) -> dict[str, Any]:
    """The environment's state."""
    found = json.loads(tandem("status", "digits", "--json"))[0]["environments"]
    state = next(each["state"] for each in found if each["environment"] == environment)
    assert state["under_way"] is None
    return state


def changed(root: Path, tandem: Run, name: str) -> str:
    """The candidate of a commit that changes the page."""
    page = root / "app" / "templates" / "try.html"
    page.write_text(f"{page.read_text()}<!-- {name} -->")
    commit(root, name)
    return re.findall(TAG, tandem("integrate", "digits"))[-1]


def test_digits_goes_to_staging_then_to_production_and_a_bad_one_comes_back_while_users_ask(
    root: Path, tandem: Run, killed: Callable[[str], None]
) -> None:
    subprocess.run([sys.executable, "app/train.py", str(root / "model")], cwd=CHECKOUT, check=True)
    tandem("publish", "digits", str(root / "model"))
    first = re.findall(TAG, tandem("integrate", "digits"))[-1]
    assert "nothing" in tandem("release", "digits", "production")  # not before it was good in staging
    tandem("release", "digits", "staging")
    (address,) = re.findall(r"runs in production at (http\S+)", tandem("release", "digits", "production"))

    second = changed(root, tandem, "second")
    changes = tandem("release", "digits", "staging", "--dry-run")
    assert f'tandem.dev/candidate: "{first}" → "{second}"' in changes
    with Load(address, rate=40) as load:
        killed("objects applied")
        tandem("reconcile", "digits")
        assert runs(tandem, "staging")["blocks"] == []
        tandem("release", "digits", "staging")
        tandem("release", "digits", "production")
        assert second in tandem("status", "digits")

        score = root / "app" / "score.py"
        score.write_text(score.read_text().replace(RIGHT, WRONG))
        bad = changed(root, tandem, "third, which cannot answer in a cluster")
        killed("roll back: ")
        tandem("reconcile", "digits")
        assert [block["commit"][:12] for block in runs(tandem, "staging")["blocks"]] == [bad[:12]]
        assert "expected status 200, got 500" in tandem("status", "digits")
        assert f"commit {bad[:12]}" in tandem("release", "digits", "staging")  # blocked, so nothing to release
        tandem("release", "digits", "production")
    for name in ("staging", "production"):
        assert runs(tandem, name)["current"]["candidate"]["pair"]["commit"].startswith(second[:12])
    # None, on a machine with time: benchmarks/kubernetes/rollouts.py. Here kube-proxy waits for a CPU now and then.
    failures = {name: dict(seen.failures) for name, seen in load.seen.items()}
    assert load.failed <= load.sent / 200 and load.sent > 100, failures
