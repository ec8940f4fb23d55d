"""What Tandem starts by itself: each thing once, and again, ever more slowly, where it failed by chance."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from tandem.triggers import runs
from tandem.triggers.runs import Run

ATTEMPTS, PATIENT = 50, 3  # at something that is killed or unlucky each time; from when it counts as stuck
SUPERSEDED = "superseded by "  # how the message of a run begins that Tandem itself cancelled


@dataclass(frozen=True)
class Standing:
    """What was started or is waited for, in a sentence; and whether to look for something else meanwhile."""

    says: str
    stuck: bool


def once(
    deployment: str, parameters: Mapping[str, object], key: str, now: datetime, final: Callable[[Run], str]
) -> Standing:
    """Start a deployment's run, the same one however often this is asked; another where that one failed by chance.

    `final` says why a run that is over is not tried again, or "". Raises what `runs.start` raises.
    """
    keys = {f"{key}:{number}": number for number in range(1, ATTEMPTS + 1)}
    tried = runs.keyed(deployment.partition("/")[0], list(keys))
    last = max(tried, key=lambda run: keys[run.key], default=None)
    number = keys[last.key] if last else 0
    if last is not None:
        if not last.over:
            return Standing(f"it is run {last.name} ({last.id})", number > PATIENT)
        if why := final(last):
            return Standing(why, True)
        if number == ATTEMPTS:
            return Standing(f"it ended badly {ATTEMPTS} times", True)
        again = (last.ended or now) + timedelta(seconds=min(15 * 2**number, 3600))
        if now < again:
            said = f"run {last.id} ended {last.state}, the next begins after {again:%H:%M:%S}"
            return Standing(said, number >= PATIENT)
    started = runs.start(deployment, parameters, f"{key}:{number + 1}")
    return Standing(f"started as run {started}", number + 1 > PATIENT)


def cancelled(run: Run) -> bool:
    """Whether a person cancelled the run: then it is for a person to ask for it again."""
    return run.state == "CANCELLED" and not run.message.startswith(SUPERSEDED)
