"""A commit that changes code only, from its checkout to the image in the registry: the requests that it takes, and how
long it takes at a round trip of 0 and of 30 ms:
`python benchmarks/code_only.py [--rounds 3] [--docker unix:///var/run/docker.sock]`.

The tasks of integrate's own, in its order, without Prefect; the app's tests and the image's trial are left out.
Docker's turn is a build whose every layer but the code's is cached, and a push of what is new.
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from prefect.logging import disable_run_logger
from servers import front, registry
from weights import incompressible

from tandem.flows import backends
from tandem.flows import integrate as line
from tandem.manifests import manifest_bytes
from tandem.models import files_of, open_store
from tandem.records import Descriptor, Facts, Image
from tandem.registries import evidence
from tandem.settings import Settings

APP_TOML = """
[source]
repository = "code"
[test]
command = "true"
[model]
store = "file://store"
name = "bench"
formats = ["safetensors"]
[image]
files = ["app.py"]
command = ["python", "app.py", "{{port}}"]
registry = "{registry}/bench"
"""
KINDS = (evidence.TESTS, evidence.PROVENANCE, "application/vnd.tandem.trial.v1+json")


@dataclass(frozen=True)
class Steps:
    """Seconds since the epoch: when `resolve` was done, the image manifest there, evidence and tag too."""

    resolved: float
    pushed: float
    marked: float
    image: Image


def commit(root: Path, text: str) -> None:
    """A commit of the app."""
    code = root / "code"
    code.mkdir(exist_ok=True)
    (code / "app.py").write_text(f"print({text!r})\n")
    git = ["git", "-C", str(code), "-c", "user.name=ann", "-c", "user.email=ann@example.org"]
    if not (code / ".git").exists():
        subprocess.run([*git, "init", "-q", "-b", "main"], check=True)
    for words in (["add", "-A"], ["commit", "-qm", text]):
        subprocess.run([*git, *words], check=True)


def integrate() -> Steps:
    """What the flow does, up to the candidate."""
    settings = Settings.load("bench")
    with disable_run_logger(), ExitStack() as run:
        chosen = line.resolve.fn(settings, "HEAD", "newest")
        resolved = time.time()
        where = backends.registry(settings)
        if line.find_candidate.fn(settings, where, chosen.pair):
            raise SystemExit("this commit was integrated before")
        known = line.remember_layers.fn(where, chosen)
        source = line.check_out.fn(settings, chosen, run)
        layers = line.fetch_model.fn(settings, where, chosen, known)
        app_image = line.build_image.fn(settings, where, source, known)
        image = line.push_image.fn(settings, chosen, app_image, layers)
        pushed = time.time()
        subject = Descriptor(image.manifest.media_type, image.digest, len(manifest_bytes(image.manifest)))
        for kind in KINDS:
            evidence.attach(image.registry, subject, kind, f"{kind} of {chosen.commit.id}".encode())
        image.registry.put(image.manifest, chosen.pair.tag)
    return Steps(resolved, pushed, time.time(), image)


class Docker:
    """The same app by `docker build` and `docker push`; weights and code in one context, as people have it."""

    def __init__(self, url: str, folder: Path, weights: Path, registry: str) -> None:
        self.folder, self.image = folder, f"{registry}/docker"
        self.env = {**os.environ, "DOCKER_HOST": url, "DOCKER_BUILDKIT": "0"}
        folder.mkdir()
        shutil.copy(weights, folder)
        (folder / "Dockerfile").write_text("FROM scratch\nCOPY weights.safetensors /model/\nCOPY app.py /app/\n")

    def change(self, text: str) -> float:
        """Seconds for a change of the code."""
        (self.folder / "app.py").write_text(f"print({text!r})\n")
        began = time.monotonic()
        for words in (["build", "--quiet", "--tag", self.image, "."], ["push", "--quiet", self.image]):
            subprocess.run(["docker", *words], check=True, cwd=self.folder, env=self.env, capture_output=True)
        return time.monotonic() - began

    def remove(self) -> None:
        """What it made leaves the daemon."""
        subprocess.run(["docker", "image", "rm", "--force", self.image], check=True, env=self.env, capture_output=True)


def requests(seen: str, steps: Steps) -> tuple[list[str], list[str]]:
    """The requests up to the image manifest, and those after it, without the hosts, ids and digests in them."""
    up_to, after = [], []
    for each in seen.splitlines():
        at, connection, method, path = each.split(" ")
        if float(at) >= steps.resolved:
            short = re.sub(r"([0-9a-f]{8})[0-9a-f-]{20,}", r"\1…", re.sub(r"_state=[^&]*", "_state=…", path))
            (up_to if float(at) <= steps.pushed else after).append(f"{connection:>3} {method} {short}")
    return up_to, after


def measure(root: Path, round_trip: float, rounds: int, show: bool, url: str | None) -> None:
    """Prints a line of the table."""
    with registry(root / "registry") as back, front(root / "front", back.address, round_trip) as wire:
        (root / "deployments" / "bench").mkdir(parents=True)
        (root / "deployments" / "bench" / "app.toml").write_text(APP_TOML.format(registry=wire.address))
        os.environ["TANDEM_ROOT"] = str(root)
        (root / "model").mkdir()
        incompressible(root / "model" / "weights.safetensors", 16 << 20)
        store = open_store(Settings.load("bench").toml.model, root)
        store.publish("bench", files_of(root / "model"), Facts())
        commit(root, "first")
        integrate()
        peer = Docker(url, root / "docker", root / "model" / "weights.safetensors", wire.address) if url else None
        if peer:
            peer.change("first")
        took, marked, theirs = [], [], []
        for number in range(rounds):
            commit(root, f"change {number}")
            steps = integrate()
            took.append(steps.pushed - steps.resolved)
            marked.append(steps.marked - steps.pushed)
            seen = (root / "front" / "seen").read_text()
            if peer:
                theirs.append(peer.change(f"change {number}"))
        if peer:
            peer.remove()
        up_to, after = requests(seen, steps)
    if show:
        print("\n".join(["up to the image manifest:", *up_to, "evidence and tag:", *after, ""]))
    middle = statistics.median(took), statistics.median(marked)
    beside = f"{statistics.median(theirs):.2f} | {middle[0] / statistics.median(theirs):.2f}" if theirs else "– | –"
    print(
        f"| {1000 * round_trip:.0f} ms | {len(up_to)} | {min(took):.2f} | {middle[0]:.2f} | {max(took):.2f} "
        f"| {len(after)} | {middle[1]:.2f} | {beside} |"
    )


def main() -> None:
    """Measures, and prints the table."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--rounds", type=int, default=3)
    asked.add_argument("--show", action="store_true", help="each request of the last round")
    asked.add_argument("--docker", help="a daemon's address, to measure docker build and push beside it")
    wish = asked.parse_args()
    print(
        "| round trip | requests | min s | median s | max s | evidence and tag: requests | s | docker s | of docker |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for round_trip in (0.0, 0.030):
        with tempfile.TemporaryDirectory(prefix="tandem-code-") as folder:
            measure(Path(folder), round_trip, wish.rounds, wish.show, wish.docker)


if __name__ == "__main__":
    main()
