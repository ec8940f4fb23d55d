"""A commit that changes code only, until only it answers outside, and where each second goes:
`python -m benchmarks.kubernetes.commit_to_pods [--rounds 5]`, from the repository's root.

The tasks of integrate's own, in its order, without Prefect, with the image's trial in Docker and without the app's
tests; then the target's roll_out. In turn with it `kubectl set image` and `kubectl rollout status` of the image of a
commit of its own, so that each pays for its own pull, in another namespace with the same YAML.
"""

import argparse
import asyncio
import inspect
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from prefect import Task
from prefect.logging import disable_run_logger

from benchmarks.kubernetes.ground import APP, Ground, ground
from benchmarks.kubernetes.load import KINDS, Load
from benchmarks.kubernetes.rollouts import BY_COMMIT, last_old, roll
from tandem.flows import backends, container, trial
from tandem.flows import integrate as line
from tandem.flows.engine import remote
from tandem.records import Candidate, Image
from tandem.source.report import SuiteReport
from tests.kubernetes_cluster import own_namespace

RATE = 60.0
TRIAL = "the image's trial in Docker"
UNTIL = "**given to integrate → only new answers outside**"
Steps = dict[str, list[float]]


class Clock:
    """`with clock("a step"):` adds its seconds to that step's."""

    def __init__(self) -> None:
        self.steps: Steps = defaultdict(list)

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.steps[step].append(time.monotonic() - began)


def plainly(task: Task[..., Any], _: str, /, *arguments: Any, **options: Any) -> Any:
    """A task of prefect-docker, without Prefect."""
    done = task.fn(*arguments, **options)
    return asyncio.run(done) if inspect.iscoroutine(done) else done


def try_out(place: Ground, image: Image) -> Any:
    """The image's trial in Docker."""
    settings = place.settings
    engine, why = trial.place(settings)
    if engine is None:
        raise SystemExit(f"no engine for the image's trial: {why}")
    wish = container.Wish(settings.toml.verify, settings.toml.image.port, memory=container.memory(image))
    return container.try_in_docker(
        engine, remote(settings, image.digest), wish, backends.scratch(settings, "trials"), plainly
    )


def integrate(place: Ground, clock: Clock) -> Candidate:
    """What the flow does, up to the tag."""
    settings = place.settings
    with disable_run_logger(), ExitStack() as run:
        with clock("resolve, find the candidate, remember layers"):
            chosen = line.resolve.fn(settings, "HEAD", "newest")
            where = backends.registry(settings)
            if line.find_candidate.fn(settings, where, chosen.pair):
                raise SystemExit("this commit was integrated before")
            known = line.remember_layers.fn(where, chosen)
        with clock("check out"):
            source = line.check_out.fn(settings, chosen, run)
        with clock("fetch model: its layers are known"):
            layers = line.fetch_model.fn(settings, where, chosen, known)
        with clock("build and push the image"):
            app_image = line.build_image.fn(settings, where, source, known)
            image = line.push_image.fn(settings, chosen, app_image, layers)
        with clock(TRIAL):
            tried = try_out(place, image)
        with clock("evidence and tag"):
            report = SuiteReport("true", 0.0, False)
            return line.mark_candidate.fn(settings, chosen, image, layers, report, tried)


def ship(place: Ground, load: Load, clock: Clock) -> None:
    """A commit by Tandem, from integrate to only new answers."""
    candidate, began = integrate(place, clock), time.time()
    rollout = roll(place, load, candidate)
    at = {what: next(s for said, s in rollout.steps.items() if what in said) for what in ("dry run", "applied")}
    ready = next(s for said, s in rollout.steps.items() if said.startswith("3 of 3"))
    parts = {"read YAML, image, state": at["dry run"], "dry run and apply": at["applied"] - at["dry run"]}
    parts |= {"applied → 3 pods ready": ready - at["applied"], "→ only new answers": max(0.0, rollout.old - ready)}
    parts |= {"(→ roll_out's end)": rollout.took - max(rollout.old, ready)}
    for kind in KINDS:
        parts[f"(of that, on connections {kind.name})"] = (
            last_old(load, candidate.pair.commit, kind.name) - began - ready
        )
    for name, seconds in parts.items():
        clock.steps[name].append(seconds)


def by_hand(place: Ground, namespace: str, candidate: Candidate, load: Load, clock: Clock) -> None:
    """kubectl, as people have it."""
    kubectl, began = kubectl_in(place, namespace), time.time()
    kubectl("set", "image", "deployment/digits", f"digits={reference(place, candidate)}")
    kubectl("rollout", "status", "deployment/digits", "--timeout=120s")
    clock.steps["kubectl set image, rollout status"].append(time.time() - began)
    time.sleep(5)  # the connections that are idle for 4 s
    commit = candidate.pair.commit
    clock.steps["kubectl set image → only new answers"].append(last_old(load, commit) - began)
    for kind in KINDS:
        clock.steps[f"kubectl: on connections {kind.name}"].append(last_old(load, commit, kind.name) - began)


def kubectl_in(place: Ground, namespace: str) -> Callable[..., str]:
    """kubectl there."""
    return lambda *words, given="": place.cluster.kubectl("-n", namespace, *words, given=given)


def reference(place: Ground, candidate: Candidate) -> str:
    """Its image, as pods say it."""
    return f"{place.settings.toml.image.registry}@{candidate.digest}"


def by_kubectl_first(place: Ground, namespace: str, candidate: Candidate) -> str:
    """The app's YAML by kubectl apply, three pods ready; the address."""
    kubectl = kubectl_in(place, namespace)
    files = sorted((place.root / "deployments" / APP / "kubernetes").glob("*.yaml"))
    text = "\n---\n".join(file.read_text() for file in files)
    kubectl("apply", "-f", "-", given=text.replace("image: digits #", f"image: {reference(place, candidate)} #"))
    until = time.monotonic() + 120
    while kubectl("get", "deployment/digits", "-o", "jsonpath={.status.readyReplicas}") != "3":
        if time.monotonic() > until:
            raise SystemExit(f"no 3 pods in {namespace}: {kubectl('get', 'pods')}")
        time.sleep(0.5)
    return "http://" + kubectl("get", "service/digits", "-o", "jsonpath={.status.loadBalancer.ingress[0].ip}")


def table(steps: Steps) -> str:
    """A row for each step, and the sums."""
    tandem = [name for name in steps if not name.startswith(("(", "kubectl"))]
    rounds = range(len(steps[tandem[0]]))
    sums = {UNTIL: [sum(steps[name][at] for name in tandem) for at in rounds]}
    sums["**the same without the trial**"] = [
        total - steps[TRIAL][at] for at, total in zip(rounds, sums[UNTIL], strict=True)
    ]
    order = {**{name: steps[name] for name in tandem}, **sums, **steps}
    rows = ["| step | min s | median s | max s |", "|---|---|---|---|"]
    for name, each in order.items():
        rows.append(f"| {name} | {min(each):.2f} | {statistics.median(each):.2f} | {max(each):.2f} |")
    return "\n".join(rows)


def main() -> None:
    """Measures, and prints the table."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--rounds", type=int, default=5)
    wish = asked.parse_args()
    with ExitStack() as run:
        place = run.enter_context(ground())
        namespace = run.enter_context(own_namespace(place.cluster, "kubectl"))
        first = place.first()
        theirs = by_kubectl_first(place, namespace, first)
        ours, page = str(place.target.running().address), place.root / "app" / "templates" / "try.html"
        loads = [run.enter_context(Load(address, RATE, asks=BY_COMMIT)) for address in (ours, theirs)]
        clock, aside = Clock(), Clock()
        for number in range(wish.rounds + 1):
            mine = clock if number else Clock()  # the first round fetches what is fetched once
            place.commit(f"Ours {number}", {"app/templates/try.html": f"{page.read_text()}<!-- ours {number} -->"})
            ship(place, loads[0], mine)
            place.commit(f"Theirs {number}", {"app/templates/try.html": f"{page.read_text()}<!-- theirs {number} -->"})
            by_hand(place, namespace, integrate(place, aside), loads[1], mine)
            place.cluster.let_others()
        failed = [f"{load.failed} of {load.sent}" for load in loads]
    print(table(clock.steps))
    print(f"\nfailed requests: Tandem {failed[0]}, kubectl {failed[1]}")


if __name__ == "__main__":
    main()
