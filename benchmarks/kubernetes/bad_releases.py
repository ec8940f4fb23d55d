"""Bad releases, whose fault Tandem says they are, and how soon what ran before is back:
`python -m benchmarks.kubernetes.bad_releases [--each 5]`, from the repository's root.

The real commands, recorded by a real Prefect server, into one environment of a real cluster. Seconds are those of the
state's own record, from the release's begin to its end: back, and verified. That is more than from the first sign.
"""

import argparse
import json
import shutil
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.kubernetes.badness import KINDS, plant
from benchmarks.kubernetes.ground import APP, ENVIRONMENT, Ground, ground
from tandem.flows import backends, ingredients
from tandem.models import facts_of, files_of
from tandem.records import Block, Candidate, Pair, State
from tandem.seams import Target

GUILTY = ("commit", "model", "pair")
DEADLINE = 25  # the clone's progressDeadlineSeconds: 40 in the sample
VERIFY = "soak = 3"
WITHIN = {r"^# within = .*": 'within = "2s"'}


@dataclass(frozen=True)
class Outcome:
    """One bad release: whether it is back, blamed rightly, chosen again; seconds of it all."""

    kind: str
    guilty: str
    back: bool
    right: bool
    again: bool
    seconds: float
    reason: str


class Trials:
    """Bad releases, one after the other, over one that is good."""

    def __init__(self, place: Ground) -> None:
        self.place, self.settings = place, place.settings
        self.target: Target = backends.target(self.settings, ENVIRONMENT)
        yaml = place.root / "deployments" / APP / "kubernetes" / "deployment.yaml"
        text = yaml.read_text().replace("progressDeadlineSeconds: 40", f"progressDeadlineSeconds: {DEADLINE}")
        self.commit = place.commit("Good", {**plant(place.root), str(yaml.relative_to(place.root)): text})
        self.model = self.publish("good")
        self.good = self.integrate(self.commit, self.model)
        print(f"good is {self.good.tag}: {place.tandem('release', APP, ENVIRONMENT).said.split()[-1]}", flush=True)

    def publish(self, how: str) -> str:
        """A new model that behaves so; its version."""
        folder = self.place.root / "model"
        (folder / "how.txt").write_text(how)
        files = files_of(folder)
        return backends.store(self.settings).publish(APP, files, facts_of(files)).version

    def integrate(self, commit: str, model: str) -> Candidate:
        """The candidate of these two, by the command."""
        said = self.place.tandem("integrate", APP, "--commit", commit, "--model", model).said
        registry = backends.registry(self.settings)
        return ingredients.named_candidate(self.settings, registry, said.split()[-1])

    def run(self, kind: str, guilty: str, number: int) -> Outcome:
        """One bad release, to its end."""
        commit, model, how = self.commit, self.model, "good" if kind == "absent" else kind
        if guilty != "model":
            commit = self.place.commit(f"{kind} {number}", {"app/how.txt": f"{how} {number}"})
        if guilty != "commit":
            model = self.publish(f"{how if guilty == 'model' else 'good'} {number}")
        bad = self.integrate(commit, model)
        if kind == "absent":
            self.lose(bad)
        before = self.target.state().value
        said = self.place.tandem("release", APP, ENVIRONMENT, code=None)
        state = self.target.state().value
        last = state.history[0]
        if last.candidate != bad or last.ended is None:
            raise SystemExit(f"{bad.tag} was not released: {said.said[-2000:]}")
        new = [block for block in state.blocks if block not in before.blocks]
        wanted = [] if kind == "absent" else [block_of(bad.pair, guilty)]
        back = last.outcome == "rolled back" and state.current == before.current and self.runs_good()
        seconds = (last.ended - last.began).total_seconds() - (DEADLINE if kind == "never-ready" else 0)
        again = kind != "absent" and self.chosen(state, bad)
        if kind == "absent":  # it may come again, as it should; not here
            backends.registry(self.settings).delete(bad.digest)
        right = [halves(block) for block in new] == wanted
        return Outcome(kind, "environment" if kind == "absent" else guilty, back, right, again, seconds, last.reason)

    def lose(self, bad: Candidate) -> None:
        """The registry loses the newest layer that only this image has, as a careless cleaning does."""
        mine, theirs = (
            [layer.digest for layer in backends.image(backends.registry(self.settings), each.digest).manifest.layers]
            for each in (bad, self.good)
        )
        lost = next(digest for digest in mine if digest not in theirs).removeprefix("sha256:")
        shutil.rmtree(self.place.blobs / lost[:2] / lost)

    def runs_good(self) -> bool:
        """Whether the platform says so."""
        return self.target.running().digests == (self.good.digest,)

    def chosen(self, state: State, bad: Candidate) -> bool:
        """Whether one of ten nights would take it."""
        nights = [ingredients.choose_candidate(self.settings, ENVIRONMENT, state).candidate for _ in range(10)]
        return bad in nights


def block_of(pair: Pair, guilty: str) -> tuple[str | None, str | None]:
    """The commit and the model that a right block names."""
    return (None if guilty == "model" else pair.commit), (None if guilty == "commit" else pair.model)


def halves(block: Block) -> tuple[str | None, str | None]:
    """Those that this one names."""
    return block.commit, block.model


def table(outcomes: Sequence[Outcome]) -> str:
    """A row for each kind."""
    rows = [
        "| bad | releases | back | blamed rightly | chosen again | median s | max s |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind in (*KINDS, "all"):
        these = [each for each in outcomes if kind in (each.kind, "all")]
        if these:
            seconds = [each.seconds for each in these]
            counts = [sum(getattr(each, what) for each in these) for what in ("back", "right", "again")]
            figures = " | ".join(map(str, counts))
            rows.append(
                f"| {kind} | {len(these)} | {figures} | {statistics.median(seconds):.1f} | {max(seconds):.1f} |"
            )
    return "\n".join(rows)


def main() -> None:
    """Measures, and prints a line for each and the table."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--each", type=int, default=5)
    asked.add_argument("--until", type=float, default=0, help="seconds after which no other is begun")
    wish = asked.parse_args()
    outcomes, began = list[Outcome](), time.monotonic()
    with ground(VERIFY, WITHIN) as place:
        trials = Trials(place)
        turns = [(kind, GUILTY[(at + turn) % 3]) for turn in range(wish.each) for at, kind in enumerate(KINDS)]
        for number, (kind, guilty) in enumerate(turns):
            if wish.until and time.monotonic() - began > wish.until:
                break
            outcomes.append(outcome := trials.run(kind, guilty, number))
            print(json.dumps(outcome.__dict__), flush=True)
            place.cluster.let_others()
        nights = [place.tandem("release", APP, ENVIRONMENT).said for _ in range(10)]
        print(f"ten releases after that: {sum('nothing to release' in said for said in nights)} had nothing to release")
    print(table(outcomes))


if __name__ == "__main__":
    main()
