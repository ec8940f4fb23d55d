"""Worker and template killed in the middle of a release: seconds until the environment is whole and its lock free.

`python -m benchmarks.killed_worker --rounds 5`: `tandem up` on the tests' tiny app, whose new version takes 8 s to be
ready; both are killed with SIGKILL while it rolls out, at a moment of the minute that differs.
"""

import argparse
import random
import tempfile
import time
from pathlib import Path
from statistics import median

from tandem.triggers import runs
from tests.end_to_end.service import Service, commit, publish, service, until


def once(up: Service) -> tuple[float, float]:
    """Seconds until nothing is under way any more, and until the lock is free."""
    commit(up, **{"STARTUP := 0": "STARTUP := 8"})
    up.tandem("integrate", "tiny")
    time.sleep(random.uniform(0, 60))
    runs.start("release/tiny-local", {"app": "tiny", "environment": "local"}, api=up.api())
    until(lambda: (up.state().get("under_way") or {}).get("step") == "roll out", 120, up.log)
    began = time.monotonic()
    up.kill("worker")
    up.kill("template")
    until(lambda: up.state()["under_way"] is None, 300, up.log)
    whole = time.monotonic() - began
    until(lambda: up.api().get("v2/concurrency_limits/release-tiny-local")["active_slots"] == 0, 120, up.log)
    return whole, time.monotonic() - began


def main() -> None:
    """Measure and print."""
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--rounds", type=int, default=5)
    rounds = words.parse_args().rounds
    with tempfile.TemporaryDirectory() as name, service(Path(name) / "root") as up:
        up.becomes_whole()
        publish(up)
        up.tandem("integrate", "tiny")
        up.tandem("release", "tiny", "local")
        took = [once(up) for _ in range(rounds)]
    print("| until | median s | worst s | of |\n|---|---|---|---|")
    for label, seconds in zip(("nothing is under way", "the lock is free"), zip(*took, strict=True), strict=True):
        print(f"| {label} | {median(seconds):.0f} | {max(seconds):.0f} | {rounds} |")


if __name__ == "__main__":
    main()
