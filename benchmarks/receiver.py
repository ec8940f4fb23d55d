"""Signed pushes into the receiver: `python benchmarks/receiver.py [SECONDS [RATE…]]`, 60 s at 1,000/s by default.

`tandem receive` is one process, hook_load.py another; this one stands in for Prefect's API: a run begins a second
after it was started and takes five.
"""

import json
import os
import platform
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from tests.triggers.conftest import write_app  # noqa: E402
from tests.triggers.prefect_double import PrefectDouble  # noqa: E402

BEGINS, TAKES = 1.0, 5.0


def main(seconds: str = "60", *rates: str) -> None:
    """Each rate by connections that are kept, and the first by new ones too."""
    rates = rates or ("1000",)
    print(
        f"{os.cpu_count()} cores, Python {platform.python_version()}, generator on the same machine, {seconds} s each"
    )
    print("| pushes/s, connections | answered/s | p50 ms | p99 ms | max ms | answers | starts | receiver CPU s | MB |")
    print("|---|---|---|---|---|---|---|---|---|")
    for rate, fresh in [*((rate, False) for rate in rates), (rates[0], True)]:
        row(rate, float(seconds), fresh)


def row(rate: str, seconds: float, fresh: bool) -> None:
    """One line of the table."""
    prefect = PrefectDouble()
    prefect.up()
    environ = os.environ | {"SHOP_SECRET": secrets.token_hex(16), "PREFECT_API_URL": prefect.url}
    with tempfile.TemporaryDirectory() as folder:
        write_app(Path(folder), "shop")
        log = Path(folder) / "log"
        argv = [str(Path(sys.executable).parent / "tandem"), "receive", "--port", "0"]
        with (
            log.open("w") as sink,
            subprocess.Popen(argv, cwd=folder, env=environ, stdout=sink, stderr=sink) as process,
        ):
            over = threading.Event()
            threading.Thread(target=live, args=(prefect, over), daemon=True).start()
            try:
                port = listening(log, process)
                load = [
                    sys.executable,
                    str(ROOT / "benchmarks" / "hook_load.py"),
                    "127.0.0.1",
                    port,
                    rate,
                    str(seconds),
                ]
                words = [*load, *(["new"] if fresh else [])]
                before = usage(process.pid)[0]
                signed = environ | {"GITHUB_HOOK_SECRET": environ["SHOP_SECRET"]}
                done = subprocess.run(words, env=signed, capture_output=True, text=True, check=True)
                cpu, memory = usage(process.pid)
            finally:
                over.set()
                process.terminate()
        lines = log.read_text().count(" accepted: ")
    found = json.loads(done.stdout)
    answers = ", ".join(f"{count:,} × {status}" for status, count in sorted(found["statuses"].items()) if count)
    if found["unanswered"] or lines != found["statuses"].get("202 accepted"):
        answers += f", {found['unanswered']} unanswered, {lines:,} lines logged"
    times = " | ".join(f"{found[name] * 1000:.1f}" for name in ("p50", "p99", "max"))
    ways = "new" if fresh else "kept"
    figures = f"{len(prefect.starts)} | {cpu - before:.1f} | {memory / 1e6:.0f}"
    print(f"| {int(rate):,} {ways} | {found['rate']:,.0f} | {times} | {answers} | {figures} |", flush=True)
    prefect.down()


def listening(log: Path, process: subprocess.Popen[bytes]) -> str:
    """The port, once it listens."""
    deadline = time.monotonic() + 60
    while "/hooks/SENDER" not in (said := log.read_text()):
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"the receiver did not start: {said}")
        time.sleep(0.05)
    return said.rpartition("/hooks/SENDER")[0].rpartition(":")[2]


def live(prefect: PrefectDouble, over: threading.Event) -> None:
    """Runs begin and end."""
    while not over.wait(0.1):
        for _, at, run in list(prefect.starts):
            age = time.monotonic() - at
            prefect.becomes(run, "SCHEDULED" if age < BEGINS else "RUNNING" if age < BEGINS + TAKES else "COMPLETED")


def usage(pid: int) -> tuple[float, int]:
    """CPU seconds so far, and the most memory that it ever had, in bytes; Linux."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    status = Path(f"/proc/{pid}/status").read_text()
    high = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), int(high.split()[1]) * 1024


if __name__ == "__main__":
    main(*sys.argv[1:])
