"""Where the benchmarks take place: a clone of this repository with a registry, an engine, a cluster and Prefect."""

import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

from benchmarks.servers import free_port, registry, running
from tandem.flows import backends, ingredients
from tandem.records import Candidate
from tandem.seams import Target
from tandem.settings import Settings
from tests.docker_engine import own_engine, push_base_image
from tests.kubernetes_cluster import Cluster, own_namespace, running_cluster

CHECKOUT = Path(__file__).parents[2]
TANDEM = Path(sys.executable).with_name("tandem")
APP, ENVIRONMENT = "digits", "staging"


@dataclass(frozen=True)
class Done:
    """A command that has ended: its exit code, all it said, and how long it took."""

    code: int
    said: str
    seconds: float


@dataclass(frozen=True)
class Ground:
    """`root` is the clone; `blobs` the folder of the registry's blobs; `env` what its commands run in."""

    root: Path
    cluster: Cluster
    namespace: str
    blobs: Path
    env: Mapping[str, str]

    @property
    def settings(self) -> Settings:
        """The clone's app.toml."""
        return Settings.load(APP, self.root)

    def tandem(self, *words: str, code: int | None = 0) -> Done:
        """The command in the clone; SystemExit with what it said where it ends with another code (None: any)."""
        began = time.monotonic()
        argv = [TANDEM, *words]
        run = subprocess.run(argv, cwd=self.root, env=self.env, capture_output=True, text=True, check=False)
        done = Done(run.returncode, run.stdout + run.stderr, time.monotonic() - began)
        if code is not None and done.code != code:
            raise SystemExit(f"tandem {' '.join(words)} ended with {done.code}: {done.said[-4000:]}")
        return done

    def commit(self, subject: str, files: Mapping[str, str]) -> str:
        """A commit that writes these files; its id."""
        for name, text in files.items():
            (self.root / name).write_text(text)
        git = ["git", "-C", str(self.root), "-c", "user.name=ann", "-c", "user.email=ann@example.org"]
        subprocess.run([*git, "add", "-A", "app", "deployments"], check=True)
        subprocess.run([*git, "commit", "-qm", subject], check=True)
        return subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()

    def first(self) -> Candidate:
        """A model published, the last commit integrated and released: what the rest builds upon."""
        self.tandem("publish", APP, str(self.root / "model"))
        made = self.candidate(self.tandem("integrate", APP).said)
        self.tandem("release", APP, ENVIRONMENT)
        return made

    def candidate(self, said: str) -> Candidate:
        """The one that `tandem integrate` names last."""
        return ingredients.named_candidate(self.settings, backends.registry(self.settings), said.split()[-1])

    @property
    def target(self) -> Target:
        """The environment."""
        return backends.target(self.settings, ENVIRONMENT)


@contextmanager
def ground(verify: str = "", changes: Mapping[str, str] | None = None) -> Iterator[Ground]:
    """All of it, with a trained model in root/"model"; gone afterwards, but for the cluster, which stays.

    `verify` goes into [environments.staging.verify]; `changes` are keys of app.toml by their text, and new values.
    """
    with ExitStack() as run:
        folder = Path(run.enter_context(tempfile.TemporaryDirectory(prefix="tandem-kubernetes-")))
        cluster = run.enter_context(running_cluster())
        namespace = run.enter_context(own_namespace(cluster, str(folder)))
        server = run.enter_context(registry(folder / "registry"))
        engine = os.environ.get("DOCKER_HOST") or run.enter_context(own_engine(folder))
        root = folder / "tandem"
        subprocess.run(["git", "clone", "-q", str(CHECKOUT), str(root)], check=True)
        base = push_base_image(server.address, folder / "base")
        target = f'\n[environments.{ENVIRONMENT}]\ntarget = "kubernetes://{cluster.context}/{namespace}"\n'
        table = f"\n[environments.{ENVIRONMENT}.verify]\n{verify}\n"
        toml = root / "deployments" / APP / "app.toml"
        wishes = {
            r'^base = "none"': f'base = "{base.name}"',
            r'^registry = ".*?"': f'registry = "{server.address}/app"',
        }
        wishes |= {r'^command = "python.*?"': 'command = "true"', r"^requirements = \[.*?\]": "requirements = []"}
        toml.write_text(_changed(toml.read_text(), {**wishes, **(changes or {})}) + target + table)
        api = run.enter_context(prefect(folder / "prefect"))
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "TANDEM_"))}
        env = {"PREFECT_API_URL": api, "PREFECT_HOME": str(folder / "prefect"), "DOCKER_HOST": engine}
        env |= {"KUBECONFIG": str(cluster.kubeconfig), "TANDEM_ROOT": str(root)}
        os.environ.update(env)  # for what runs in this process, which has read Prefect's settings already
        run.enter_context(temporary_settings({PREFECT_API_URL: api, PREFECT_HOME: folder / "prefect"}))
        subprocess.run([sys.executable, "app/train.py", str(root / "model")], cwd=CHECKOUT, check=True)
        made = Ground(
            root, cluster, namespace, folder / "registry" / "data/docker/registry/v2/blobs/sha256", kept | env
        )
        made.commit("To Kubernetes", {})
        run.callback(made.tandem, "down", "--everything", code=None)
        yield made


def _changed(text: str, wishes: Mapping[str, str]) -> str:
    for pattern, line in wishes.items():
        text, found = re.subn(f"(?m){pattern}", lambda _, line=line: line, text)
        if found != 1:
            raise SystemExit(f"app.toml has {found} lines like {pattern!r}, and one is wanted")
    return text


@contextmanager
def prefect(home: Path) -> Iterator[str]:
    """A Prefect server on SQLite, for all commands: its API's address."""
    home.mkdir()
    port = free_port()
    os.environ["PREFECT_HOME"] = str(home)
    os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
    lease = "prefect.server.concurrency.lease_storage.filesystem"
    os.environ["PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"] = lease
    with running([sys.executable, "-m", "tandem.cli.prefect_server", "start", "--port", str(port)], home, port):
        api, until = f"http://127.0.0.1:{port}/api", time.monotonic() + 60
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{api}/health").status_code == 200:
                    break
            if time.monotonic() > until:
                raise SystemExit("Prefect's server listens and does not say that it is well")
            time.sleep(0.1)
        yield api
