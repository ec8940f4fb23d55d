"""Rollouts under load, and what users lose: `python -m benchmarks.kubernetes.rollouts [--rounds 30] [--rate 200]`, from
the repository's root.

Two candidates take turns in one environment by the target's own roll_out, without Prefect, while a client that never
retries asks through the load balancer. "Old" is the last answer of the one that goes, from the rollout's begin.
"""

import argparse
import statistics
import time
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from benchmarks.kubernetes.ground import Ground, ground
from benchmarks.kubernetes.load import Load, sample, table
from tandem.flows import stages
from tandem.records import Candidate, Release, State, Versioned
from tandem.seams import Target
from tandem.targets import transitions
from tandem.targets.advance import advance

QUIET = 2.0  # seconds without an answer of the old one: it is gone; 200 requests a second would have met it
BY_COMMIT = replace(sample(), version=b"x-commit")


@dataclass(frozen=True)
class Rollout:
    """Seconds from its begin until each step of roll_out, its end, and the last answer of the one before."""

    steps: dict[str, float]
    took: float
    old: float


def begin(target: Target, candidate: Candidate) -> Versioned[State]:
    """As the release flow does before its first change."""
    now = datetime.now(UTC)
    release = Release(f"{now:%H%M%S%f}-{candidate.pair.commit[:7]}", candidate, now)
    return advance(target, target.state(), lambda s: transitions.begun(s, release, target.snapshot()))


def roll(place: Ground, load: Load, candidate: Candidate) -> Rollout:
    """One rollout to its end, and until nobody is answered by the one before."""
    target, image = place.target, stages.image_of(place.settings, candidate)
    state = begin(target, candidate)
    began, steps = time.time(), dict[str, float]()
    for progress in target.roll_out(image, state):
        steps.setdefault(progress.message, time.time() - began)
    took = time.time() - began
    while time.time() - (last := last_old(load, candidate.pair.commit)) < QUIET:
        if time.time() - began > 120:
            raise SystemExit("the one before still answers, 2 minutes after a rollout began")
        time.sleep(0.1)
    advance(target, state, lambda s: transitions.verified(s, datetime.now(UTC)))
    return Rollout(steps, took, last - began)


def last_old(load: Load, commit: str, kind: str = "") -> float:
    """When a version other than this commit's answered last, time.time(); on one kind of connection, or on any."""
    found = [seen.versions for name, seen in list(load.seen.items()) if kind in ("", name)]
    return max((last for each in found for version, (_, last) in list(each.items()) if version != commit), default=0.0)


def row(name: str, seconds: list[float]) -> str:
    """A line of the table."""
    return f"| {name} | {min(seconds):.1f} | {statistics.median(seconds):.1f} | {max(seconds):.1f} |"


def main() -> None:
    """Measures, and prints the tables."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--rounds", type=int, default=30)
    asked.add_argument("--rate", type=float, default=200.0)
    wish = asked.parse_args()
    with ground() as place:
        first = place.first()
        page = place.root / "app" / "templates" / "try.html"
        place.commit("Another", {"app/templates/try.html": f"{page.read_text()}<!-- another -->"})
        second = place.candidate(place.tandem("integrate", "digits").said)
        address = place.target.running().address
        if address is None:
            raise SystemExit("the first release has no address")
        rollouts = []
        with Load(address, wish.rate, asks=BY_COMMIT) as load:
            for number in range(wish.rounds):
                rollouts.append(roll(place, load, first if number % 2 else second))
                failed = sum((seen.failures for seen in load.seen.values()), Counter())
                print(f"{number + 1}: {rollouts[-1].took:.1f} s, {load.sent} sent, failed: {dict(failed)}", flush=True)
                place.cluster.let_others()
    print("\n".join(["", f"{wish.rounds} rollouts, {load.failed} of {load.sent} requests failed", "", table(load), ""]))
    print("| seconds from a rollout's begin | min | median | max |\n|---|---|---|---|")
    print(row("its end", [each.took for each in rollouts]))
    print(row("the last answer of the old one", [each.old for each in rollouts]))


if __name__ == "__main__":
    main()
