"""A commit that no hook tells of: seconds until its integrate begins, and until users have it.

`python -m benchmarks.lost_hook --rounds 5`: `tandem up` on the tests' tiny app, whose environment follows; each commit
comes at a moment of the minute that differs, and reconcile's own rounds find it.
"""

import argparse
import random
import tempfile
import time
from datetime import datetime
from pathlib import Path
from statistics import median

import httpx

from tests.end_to_end.service import Service, commit, publish, service, until


def once(up: Service, number: int) -> tuple[float, float]:
    """Seconds from the commit to its integrate's start, and to the first new answer."""
    time.sleep(random.uniform(0, 60))
    commit(up, **{'"/": "ok"': f'"/": "{number}"'})
    began = time.time()
    until(lambda: httpx.get(f"http://127.0.0.1:{up.port}/", timeout=10).json() == str(number), 300, up.log)
    served = time.time() - began
    started = [datetime.fromisoformat(run["start_time"]).timestamp() for run in integrates(up)]
    return min(at for at in started if at > began) - began, served


def integrates(up: Service) -> list[dict[str, str]]:
    """Those that have begun."""
    found = up.api().post("flow_runs/filter", {"flows": {"name": {"any_": ["integrate"]}}})
    return [run for run in found if run["start_time"]] if isinstance(found, list) else []


def main() -> None:
    """Measures, and prints the table."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--rounds", type=int, default=5)
    rounds = asked.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder, service(Path(folder) / "root") as up:
        toml = up.root / "deployments" / "tiny" / "app.toml"
        toml.write_text(toml.read_text().replace('"process:"', '"process:"\nfollow = true'))
        up.becomes_whole()
        publish(up)
        up.tandem("integrate", "tiny")
        up.tandem("release", "tiny", "local")
        found = [once(up, number) for number in range(rounds)]
    print("| from a commit without a hook, until | median s | worst s | of |\n|---|---|---|---|")
    for name, each in zip(("its integrate begins", "users have it"), zip(*found, strict=True), strict=True):
        print(f"| {name} | {median(each):.0f} | {max(each):.0f} | {rounds} |")


if __name__ == "__main__":
    main()
