"""A commit that changes code only, from its checkout to the image in the registry: the requests that it takes, and how
long it takes at a round trip of 0 and of 30 ms: `python benchmarks/code_only.py [--rounds 3]`.

The tasks of integrate's own, in its order, without Prefect; the app's tests and the image's trial are left out.
"""

import argparse
import os
import re
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


def requests(seen: Path, steps: Steps) -> tuple[list[str], list[str]]:
    """The requests up to the image manifest, and those after it, without the hosts, ids and digests in them."""
    up_to, after = [], []
    for each in seen.read_text().splitlines():
        at, connection, method, path = each.split(" ")
        if float(at) >= steps.resolved:
            short = re.sub(r"([0-9a-f]{8})[0-9a-f-]{20,}", r"\1…", re.sub(r"_state=[^&]*", "_state=…", path))
            (up_to if float(at) <= steps.pushed else after).append(f"{connection:>3} {method} {short}")
    return up_to, after


def measure(root: Path, round_trip: float, rounds: int, show: bool) -> None:
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
        took, marked = [], []
        for number in range(rounds):
            commit(root, f"change {number}")
            steps = integrate()
            took.append(steps.pushed - steps.resolved)
            marked.append(steps.marked - steps.pushed)
        up_to, after = requests(root / "front" / "seen", steps)
    if show:
        print("\n".join(["up to the image manifest:", *up_to, "evidence and tag:", *after, ""]))
    middle = sorted(took)[len(took) // 2], sorted(marked)[len(marked) // 2]
    print(
        f"| {1000 * round_trip:.0f} ms | {len(up_to)} | {min(took):.2f} | {middle[0]:.2f} | {max(took):.2f} "
        f"| {len(after)} | {middle[1]:.2f} |"
    )


def main() -> None:
    """Measures, and prints the table."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--rounds", type=int, default=3)
    asked.add_argument("--show", action="store_true", help="each request of the last round")
    wish = asked.parse_args()
    print("| round trip | requests | min s | median s | max s | evidence and tag: requests | s |")
    print("|---|---|---|---|---|---|---|")
    for round_trip in (0.0, 0.030):
        with tempfile.TemporaryDirectory(prefix="tandem-code-") as folder:
            measure(Path(folder), round_trip, wish.rounds, wish.show)


if __name__ == "__main__":
    main()
