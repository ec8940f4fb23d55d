"""What a release takes beside waiting for the cluster, and where it goes:
`python -m benchmarks.kubernetes.own_time [--rounds 5]`, from the repository's root.

By turns `tandem release`, a process of its own, and a run that the worker of `tandem up` is asked for. Read off the
times in the release's own log, which a real Prefect server records too. What lies between "objects applied" and "users
reach it" is the cluster's.
"""

import argparse
import re
import resource
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from datetime import datetime

from benchmarks.kubernetes.ground import APP, ENVIRONMENT, TANDEM, Ground, ground
from tandem.triggers import runs
from tandem.triggers.api import connect

MARKS = (  # what the log says at the end of each part
    ("until the flow run's start", "Beginning flow run"),
    ("lock, state, choose", "is the wanted pair|newest unblocked pair"),
    ("release notes, image, begin recorded, YAML read", "dry run of"),
    ("dry run and apply", "objects applied"),
    ("(the cluster)", "users reach it"),
    ("verify", ": right, [0-9]+ ms"),
    ("record, tidy up", " runs .* at http"),
)
LINE = re.compile(r"^(\d\d:\d\d:\d\d\.\d{3})  (.*)$")
FORMATS = {
    f"PREFECT_LOGGING_FORMATTERS_STANDARD_{kind}_RUN_FMT": "%(asctime)s.%(msecs)03d  %(message)s"
    for kind in ("FLOW", "TASK")
}
BESIDE = {
    "`import prefect.flows`": [sys.executable, "-c", "import prefect.flows"],
    "import of all that release needs": [
        sys.executable,
        "-c",
        "import tandem.flows.release, tandem.targets.kubernetes.target, tandem.targets.kubernetes.connect",
    ],
    "`tandem release` with nothing to release": [TANDEM, "release", APP, ENVIRONMENT],
}


def by_worker(place: Ground, steps: dict[str, list[float]]) -> None:
    """One release that the worker is asked for; the seconds of each part are added."""
    api, began = connect(place.env), time.time()
    run = runs.start(f"release/{APP}-local", {"environment": ENVIRONMENT}, api=api)
    while not (ended := runs.read(run, api)) or not ended.over:
        time.sleep(1)  # its end is read off the run: asking more often would have the server answer us, not the run
    if ended.state != "COMPLETED" or ended.ended is None:
        raise SystemExit(f"the worker's release: {ended.state} {ended.message}")
    time.sleep(3)  # the log goes out by the second
    lines = api.post("logs/filter", {"logs": {"flow_run_id": {"any_": [run]}}, "sort": "TIMESTAMP_ASC"})
    said = [(datetime.fromisoformat(each["timestamp"]).timestamp(), str(each["message"])) for each in lines]
    parts(said, began, ended.ended.timestamp(), steps)


def by_command(place: Ground, steps: dict[str, list[float]]) -> None:
    """One release by the command; the seconds of each part are added."""
    began, day, cpu = time.time(), datetime.now(), _cpu()
    argv, env = [TANDEM, "release", APP, ENVIRONMENT], {**place.env, **FORMATS}
    done = subprocess.run(argv, cwd=place.root, env=env, capture_output=True, text=True, check=True)
    ended, said = time.time(), list[tuple[float, str]]()
    for each in (done.stdout + done.stderr).splitlines():
        if match := LINE.match(each):
            at = datetime.strptime(match[1], "%H:%M:%S.%f").replace(year=day.year, month=day.month, day=day.day)
            said.append((at.timestamp(), match[2]))
    parts(said, began, ended, steps)
    steps["(CPU seconds of the whole process)"].append(_cpu() - cpu)


def parts(said: list[tuple[float, str]], began: float, ended: float, steps: dict[str, list[float]]) -> None:
    """The seconds of each part, by when each line was said."""
    last = began
    for part, mark in MARKS:
        found = [at for at, text in said if re.search(mark, text) and at >= last]
        if not found:
            raise SystemExit(f"nothing in the release's log says {mark!r}: {said}")
        at = found[-1] if part == "verify" else found[0]
        steps[part].append(at - last)
        last = at
    steps["after: the address, the run's end"].append(ended - last)


def _cpu() -> float:
    """CPU seconds of this process' ended children."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Measures, and prints the table."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--rounds", type=int, default=5)
    wish = asked.parse_args()
    ways = {by_command: defaultdict[str, list[float]](list), by_worker: defaultdict[str, list[float]](list)}
    beside = defaultdict[str, list[float]](list)
    with ground() as place:
        place.tandem("up")
        api = connect(place.env)
        for each in api.post("deployments/filter", {}):  # nobody but this benchmark integrates and releases
            api.post(f"deployments/{each['id']}/pause_deployment", {})
        place.first()
        page = place.root / "app" / "templates" / "try.html"
        for number in range(wish.rounds):
            for way, steps in ways.items():
                place.commit(f"Change {number}", {"app/templates/try.html": f"{page.read_text()}<!-- {number} -->"})
                place.tandem("integrate", APP)
                way(place, steps)
            for name, words in BESIDE.items():
                before = time.monotonic(), _cpu()
                subprocess.run(words, cwd=place.root, env=place.env, capture_output=True, check=True)
                beside[name].append(time.monotonic() - before[0])
                beside[f"{name}: CPU seconds"].append(_cpu() - before[1])
            place.cluster.let_others()
    for way, steps in ways.items():
        own = [name for name in steps if not name.startswith("(")]
        steps["**Tandem's own**"] = [sum(steps[name][at] for name in own) for at in range(wish.rounds)]
        print(f"\n| {way.__name__} | min s | median s | max s |\n|---|---|---|---|")
        for name, each in steps.items():
            print(f"| {name} | {min(each):.2f} | {statistics.median(each):.2f} | {max(each):.2f} |")
    print("\n| beside | min s | median s | max s |\n|---|---|---|---|")
    for name, each in beside.items():
        print(f"| {name} | {min(each):.2f} | {statistics.median(each):.2f} | {max(each):.2f} |")


if __name__ == "__main__":
    main()
