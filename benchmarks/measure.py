"""What one run costs: seconds, the CPU seconds of each process in it, the memory of the client."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from servers import HERE, Server


@dataclass(frozen=True)
class Run:
    """One run: wall-clock and CPU seconds, and the client's memory above idle, in bytes."""

    seconds: float
    client: float
    store: float
    registry: float
    above: int = 0


@dataclass
class Meter:
    """Measures against these servers; `cpu` notes the CPU seconds of commands that were run."""

    store: Server
    registry: Server
    cpu: float = 0.0

    def tandem(self, job: str, *words: str) -> Run:
        """client.py, once it is ready."""
        argv = [sys.executable, HERE / "client.py", job, *words]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            if process.stdin is None or process.stdout is None or process.stdout.readline() != "ready\n":
                raise SystemExit("benchmarks/client.py did not begin")
            store, registry = self.store.cpu(), self.registry.cpu()
            said, _ = process.communicate("go\n")
        if process.returncode:
            raise SystemExit(f"benchmarks/client.py {job} failed")
        took = json.loads(said)
        store, registry = self.store.cpu() - store, self.registry.cpu() - registry
        return Run(took["seconds"], took["cpu"], store, registry, took["above"])

    def commands(self, *commands: Sequence[str | Path], folder: Path, env: dict[str, str] | None = None) -> Run:
        """Other people's programs, one after the other, from their start to their end."""
        store, registry, began = self.store.cpu(), self.registry.cpu(), time.perf_counter()
        client = 0.0
        for argv in commands:
            with (folder / "command.log").open("wb") as log:
                process = subprocess.Popen(argv, cwd=folder, stdout=log, stderr=log, env={**os.environ, **(env or {})})
                _, status, usage = os.wait4(process.pid, 0)
            if os.waitstatus_to_exitcode(status):
                raise SystemExit(f"{argv[0]} failed: {(folder / 'command.log').read_text()[-1000:]}")
            client += usage.ru_utime + usage.ru_stime
        seconds = time.perf_counter() - began
        return Run(seconds, client, self.store.cpu() - store, self.registry.cpu() - registry)


def middle(runs: Sequence[Run], what: str) -> float:
    """The median of one of a Run's numbers."""
    return statistics.median(getattr(run, what) for run in runs)


def row(name: str, runs: Sequence[Run], first: Sequence[Run]) -> str:
    """A line of the table; the ratio is `first`'s median to this one's."""
    seconds = sorted(run.seconds for run in runs)
    cpu = " + ".join(f"{middle(runs, what):.1f}" for what in ("store", "registry", "client"))
    above = max(run.above for run in runs) / 2**20
    ratio = middle(first, "seconds") / middle(runs, "seconds")
    spread = f"{seconds[0]:.2f} | {middle(runs, 'seconds'):.2f} | {seconds[-1]:.2f}"
    return f"| {name} | {spread} | {ratio:.2f} | {cpu} | {f'{above:.0f}' if above else ''} |"
