"""A push that each sender tells of, in its own request's shape, and a model that Event Grid tells of, are live on a
real cluster by themselves, while users ask.
"""

import json
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.storage.blob import BlobServiceClient

from benchmarks.kubernetes.load import Load, Question
from tandem.cli import environment
from tandem.targets.state import decode
from tests import docker_engine, kubernetes_cluster
from tests.contracts.conftest import azurite
from tests.docker_engine import BaseImage
from tests.end_to_end.service import SECRET, Service, brought_up, until
from tests.kubernetes_cluster import Cluster, own_namespace
from tests.service import tiny
from tests.service.outside import git_over_http
from tests.triggers import hooks
from tests.triggers.test_process import scripts

engine, engine_registry, base_image = docker_engine.engine, docker_engine.engine_registry, docker_engine.base_image
cluster = kubernetes_cluster.cluster
__all__ = ["azurite"]

pytestmark = pytest.mark.timeout(1500)
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="  # Azurite's, published
REPOSITORIES = {  # as the documented payloads name them
    "github": "https://github.com/acme/shop",
    "gitlab": "https://gitlab.example.org/acme/shop",
    "azure-devops": "https://dev.azure.com/acme/tools/_git/shop",
    "bitbucket": "https://bitbucket.org/acme/shop",
    "gitea": "https://gitea.example.org/acme/shop",
    "generic": "https://git.example.org/acme/shop",
}


@dataclass(frozen=True)
class Up:
    """The service on this machine, the app's repository, and where its users are, on the cluster."""

    service: Service
    code: tiny.Root
    store: str
    cluster: Cluster
    namespace: str
    load: Load

    def state(self) -> Any:
        """The environment's."""
        found = self.cluster.kubectl("-n", self.namespace, "get", "configmap", "tandem-tiny-staging", "-o", "json")
        return decode(json.loads(found)["data"]["state.json"].encode(), "the environment's ConfigMap")

    def is_over(self) -> bool:
        """Whether no release is under way, and what runs was integrated once."""
        state = self.state()
        if state.under_way or not state.current:
            return False
        pair = state.current.candidate.pair
        mine = {"commit": pair.commit, "model": pair.model}
        found = self.service.api().post("flow_runs/filter", {"flows": {"name": {"any_": ["integrate"]}}})
        made = [run["state"]["type"] for run in found if mine.items() <= run["parameters"].items()]
        assert len(made) <= 1, made
        return made == ["COMPLETED"]  # its last word comes late

    def tell(self, sender: str, sent: hooks.Sent) -> bool:
        """Send the hook; whether it was about the app."""
        receiver, sent = str(environment.known(self.service.root, "receiver")), sent.signed(SECRET)
        url = f"{receiver}/hooks/{sender}"
        answer = httpx.post(url, content=sent.body, headers=sent.headers, params=dict(sent.query), timeout=60)
        return answer.status_code == 202 and answer.json()["apps"] == ["tiny"]

    def tell_of(self, sender: str, sent: hooks.Sent) -> None:
        """Send it until it counts: a changed app.toml is read within a second."""
        until(lambda: self.tell(sender, sent), 60, self.service.log)


@pytest.fixture(scope="module")
def up(
    tmp_path_factory: pytest.TempPathFactory,
    cluster: Cluster,
    engine: str,
    engine_registry: str,
    base_image: BaseImage,
    azurite: str,
) -> Iterator[Up]:
    """The first version is live, and users ask."""
    folder = tmp_path_factory.mktemp("senders")
    account = f"http://{azurite}/devstoreaccount1"
    with BlobServiceClient(account, credential=KEY) as blobs:
        blobs.create_container("senders")
    with own_namespace(cluster, "senders") as namespace, git_over_http("127.0.0.1", folder) as git:
        store = f"{account}/senders/shop"
        places = tiny.Places("", f"azure-blob:{store}", base_image.name, f"{engine_registry}/senders", namespace)
        code = tiny.make(folder / "root", folder / "root.git", places)
        ways = [f'[url "{git}/root.git"]\n\tinsteadOf = {each}\n' for each in REPOSITORIES.values()]
        (code.folder / ".gitconfig").write_text("".join(ways))
        (code.folder / ".gitignore").write_text(".tandem\n.gitconfig\n")
        more = {"KUBECONFIG": str(cluster.kubeconfig), "DOCKER_HOST": engine}
        more["AZURE_STORAGE_CONNECTION_STRING"] = (
            f"AccountName=devstoreaccount1;AccountKey={KEY};BlobEndpoint={account}"
        )
        told_by(code, "generic", REPOSITORIES["generic"], cluster.context)
        code.push("first")
        with brought_up(Service(code.folder, 0, more)) as service:
            service.becomes_whole()
            publish(service, 0)
            service.tandem("integrate", "tiny")
            service.tandem("release", "tiny", "staging")  # by itself it may be quicker
            given = ("get", "service", "tiny", "-o", "jsonpath={.status.loadBalancer.ingress[0].ip}")
            address = f"http://{cluster.kubectl('-n', namespace, *given)}"
            with Load(address, 10, asks=Question("/answer", b"", b"7")) as load:
                cluster.let_others()
                yield Up(service, code, store, cluster, namespace, load)


@pytest.fixture(autouse=True)
def turns(cluster: Cluster) -> Iterator[None]:
    """Between two of these tests the others have their turn."""
    yield
    cluster.let_others()


def told_by(code: tiny.Root, sender: str, repository: str, context: str) -> None:
    """The app's repository is this one, and this sender's requests are believed."""
    toml: Path = code.folder / "deployments" / "tiny" / "app.toml"
    text = toml.read_text().replace("kubernetes://in-cluster/", f"kubernetes://{context}/")
    text = re.sub(r"(?m)^repository = .*$", f'repository = "{repository}"', text)
    toml.write_text(re.sub(r"(?m)^\[hooks\]\n.*$", f'[hooks]\n{sender} = {{ env = "HOOK_SECRET" }}', text))


def publish(service: Service, number: int) -> str:
    """A model; its version."""
    folder = service.root / ".tandem" / f"model-{number}"
    folder.mkdir()
    (folder / "model.json").write_text(json.dumps({"answer": 7, "number": number}))
    return service.tandem("publish", "tiny", str(folder)).split()[-1]


def greets(up: Up, word: str) -> bool:
    """Whether users are greeted so; who is lost meanwhile is counted by the load."""
    with suppress(httpx.TransportError, ValueError):
        return bool(httpx.get(f"{up.load.at.geturl()}/greeting", timeout=60).json() == word)
    return False


@pytest.mark.parametrize("sender", REPOSITORIES)
def test_a_push_is_live_by_itself_whoever_tells_of_it(up: Up, sender: str, record_property: Any) -> None:
    told_by(up.code, sender, REPOSITORIES[sender], up.cluster.context)
    up.code.push(sender)
    sent = hooks.generic(time=int(time.time())) if sender == "generic" else hooks.PUSHES[sender]()
    up.tell_of(sender, sent)
    began = time.monotonic()
    until(lambda: greets(up, sender), 400, up.service.log)
    record_property("seconds from the hook to its users", took := round(time.monotonic() - began, 1))
    print(f"{sender}: {took} s")
    until(up.is_over, 240, up.service.log)


def test_a_push_into_a_bare_repository_is_live_by_its_own_hook(up: Up, monkeypatch: pytest.MonkeyPatch) -> None:
    told_by(up.code, "generic", str(up.code.bare), up.cluster.context)
    up.tell_of("generic", hooks.generic(name=str(up.code.bare), time=int(time.time())))  # until its app.toml is read
    hook = up.code.bare / "hooks" / "post-receive"
    hook.write_text(scripts("A bare git repository")[0].replace("--max-time 5 ", "--max-time 60 "))
    hook.chmod(0o755)
    receiver = environment.known(up.service.root, "receiver")
    monkeypatch.setenv("TANDEM_HOOK_URL", f"{receiver}/hooks/generic")
    monkeypatch.setenv("TANDEM_HOOK_SECRET", SECRET)
    up.code.commit("pushed")
    push = ["git", "-C", str(up.code.folder), "push", str(up.code.bare), "main"]
    said = subprocess.run(push, capture_output=True, text=True, check=True).stderr
    assert '"apps":["tiny"]' in said.replace(" ", ""), said  # the receiver's answer, which the hook prints
    until(lambda: greets(up, "pushed"), 400, up.service.log)
    until(up.is_over, 240, up.service.log)


def test_a_published_model_is_live_when_event_grid_tells_of_it(up: Up) -> None:
    told_by(up.code, "event-grid", str(up.code.bare), up.cluster.context)
    version = publish(up.service, 1)
    up.tell_of("event-grid", hooks.event_grid(f"{up.store}/answers/latest.json"))

    def runs() -> bool:
        current = up.state().current
        return bool(current and current.candidate.pair.model == version)

    until(runs, 400, up.service.log)
    until(up.is_over, 240, up.service.log)


def test_nobody_was_lost_meanwhile(up: Up) -> None:
    """None, on a machine with time: benchmarks/kubernetes/rollouts.py. Here kube-proxy waits for a CPU now and then."""
    failures = {name: dict(seen.failures) for name, seen in up.load.seen.items()}
    assert up.load.failed <= up.load.sent / 200 and up.load.sent > 100, failures
