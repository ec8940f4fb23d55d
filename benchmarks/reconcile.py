"""reconcile with nothing to do, for many apps of one repository: seconds, and requests by where they go.

    nice .venv/bin/python benchmarks/reconcile.py [--apps 100] [--runs 5] [--registry] [--profile FILE]

Each app has its own folder store, its own image registry (a folder; with --registry a repository of a real
docker-registry), a candidate of its newest commit and model, and an environment that follows and runs just that.
Each run is a process of its own, as a worker starts it, against a real Prefect server on SQLite.
"""

import argparse
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from servers import HERE, free_port, listens, registry

TOML = """
[source]
repository = "{repository}"
paths = ["{app}"]
[model]
store = "file://stores/{app}"
name = "answers"
[image]
command = ["python"]
registry = "{registry}"
[environments.local]
target = "process:"
follow = true
"""

RUN = """
import cProfile, collections, json, sys, time
import httpx
seen = collections.Counter()
for client in (httpx.Client, httpx.AsyncClient):
    def counted(self, request, *words, send=client.send, **more):
        seen["Prefect" if "/api/" in str(request.url) else "registry"] += 1
        return send(self, request, *words, **more)
    client.send = counted
from tandem.flows.reconcile import reconcile
profile = cProfile.Profile() if sys.argv[1] else None
began, cpu = time.perf_counter(), time.process_time()
if profile:
    profile.enable()
reconcile()
if profile:
    profile.disable()
    profile.dump_stats(sys.argv[1])
print(json.dumps({"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu, **seen}))
"""


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--apps", type=int, default=100)
    words.add_argument("--runs", type=int, default=5)
    words.add_argument("--registry", action="store_true")
    words.add_argument("--profile", default="")
    asked = words.parse_args()
    with tempfile.TemporaryDirectory() as name, ExitStack() as parts:
        root = Path(name)
        place = parts.enter_context(registry(root / "docker-registry")).address if asked.registry else ""
        os.environ |= {"TANDEM_ROOT": name, "PREFECT_HOME": str(root / "prefect"), "PREFECT_LOGGING_LEVEL": "WARNING"}
        os.environ["PREFECT_API_URL"] = parts.enter_context(prefect(root))
        apps = [f"app-{number:03}" for number in range(asked.apps)]
        repository(root, apps)
        for app in apps:
            at_rest(root, app, place)
        before = stored(root)
        found = [run(asked.profile) for _ in range(asked.runs)]
        time.sleep(3)  # events are written in batches
        grown = (stored(root) - before) / asked.runs
    seconds = sorted(each["seconds"] for each in found)
    print(f"{asked.apps} apps, {'docker-registry' if place else 'folders'}: reconcile took")
    print(f"  {statistics.median(seconds):.2f} s ({seconds[0]:.2f} to {seconds[-1]:.2f}), of it", end=" ")
    print(f"{statistics.median(each['cpu'] for each in found):.2f} s on the CPU")
    print(f"  Prefect's database grew by {grown / 1024:.0f} KiB a round")
    print(f"  requests: {', '.join(f'{n} to {where}' for where, n in requests(found[-1]).items())}")


def requests(one: dict[str, float]) -> Counter[str]:
    return Counter({name: int(number) for name, number in one.items() if name not in ("seconds", "cpu")})


def stored(root: Path) -> int:
    """Bytes that Prefect's database holds, its log included."""
    with closing(sqlite3.connect(root / "prefect" / "prefect.db")) as database:
        database.execute("PRAGMA wal_checkpoint(PASSIVE)")
        pages, free, size = (
            database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
    return int((pages - free) * size)


def run(profile: str) -> dict[str, float]:
    """One reconcile in a process of its own."""
    done = subprocess.run([sys.executable, "-c", RUN, profile], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    return dict(json.loads(done.stdout.splitlines()[-1]))


@contextmanager
def prefect(root: Path) -> Iterator[str]:
    """A Prefect server as `tandem up` starts it."""
    port = free_port()
    (root / "prefect").mkdir()
    os.environ |= {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "PREFECT_SERVER_LOGGING_LEVEL": "ERROR"}
    argv = [sys.executable, "-m", "tandem.cli.prefect_server", "start", "--port", str(port)]
    with (root / "prefect.log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 180
        while not listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"Prefect's server did not start: {(root / 'prefect.log').read_text()[-1000:]}")
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/api"
    finally:
        process.terminate()
        process.wait(30)


def repository(root: Path, apps: list[str]) -> None:
    """A bare repository with a commit for each app, and a hundred more."""
    work = root / "work"
    git("init", "-q", "-b", "main", str(work))
    for number in range(len(apps) + 100):
        file = work / apps[number % len(apps)] / f"{number}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"x = {number}\n")
        git("-C", str(work), "add", "-A")
        git("-C", str(work), "-c", "user.name=ann", "-c", "user.email=ann@example.org", "commit", "-qm", f"{number}")
    git("clone", "-q", "--bare", str(work), str(root / "code.git"))


def git(*words: str) -> None:
    subprocess.run(["git", *words], check=True)


def at_rest(root: Path, app: str, place: str) -> None:
    """An app whose environment runs the candidate of its newest commit and model."""
    from tandem.flows import backends
    from tandem.flows.stock import Fetched, stock
    from tandem.records import Blob, Candidate, Facts, ImageManifest, Pair, Release, State, Versioned
    from tandem.settings import Settings

    folder = root / "deployments" / app
    folder.mkdir(parents=True)
    where = f"{place}/{app}" if place else f"oci:registries/{app}"
    (folder / "app.toml").write_text(TOML.format(app=app, repository=f"file://{root}/code.git", registry=where))
    settings = Settings.load(app, root)
    content = json.dumps({"app": app}).encode()
    files = [Blob("model.json", len(content), None, lambda offset: iter([content[offset:]]))]
    backends.store(settings).publish("answers", files, Facts())
    there = stock(settings, [State(app, "local")], Fetched())
    pair = Pair(there.commits[0], there.models[0], there.recipe)
    layer = there.registry.write(files[0], "application/octet-stream")
    digest = there.registry.put(ImageManifest(layer, (layer,), {"app": app}), pair.tag).digest
    release = Release("1", Candidate(app, pair, digest), datetime.now(UTC), outcome="released")
    target = backends.target(settings, "local")
    target.record(Versioned(State(app, "local", release, (release,), (digest,)), target.state().token))


if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent))
    main()
