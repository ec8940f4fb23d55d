"""The same weights in other shapes: Tandem's memory for 1, 4 and 9 GiB, and a thousand small files against one:
`python benchmarks/shapes.py [--sizes 1GiB 4GiB 9GiB] [--rounds 3]`. The 9 GiB need 20 GB of disk, for minutes.
"""

import argparse
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from measure import Meter, Run, middle
from servers import azurite, free_port, made, registry
from weights import endless, publish, size_of, small_files

from tandem.models import files_of
from tandem.records import Blob

SMALL, COUNT = 128 << 20, 1000


def bring(files: Sequence[Blob], rounds: int) -> list[Run]:
    """Store to tagged image, each time into a registry with nothing in it."""
    runs, port = [], free_port()
    with tempfile.TemporaryDirectory(prefix="tandem-shapes-") as folder:
        with azurite(Path(folder) / "azurite", port) as store:
            url = publish(store, "bench", files)
        for number in range(rounds):
            os.sync()
            with azurite(Path(folder) / "azurite", port) as store, registry(Path(folder) / f"{number}") as server:
                runs.append(Meter(store, server).tandem("bring", url, f"{server.address}/bench"))
    return runs


def line(name: str, runs: Sequence[Run]) -> None:
    """A line of the table."""
    cpu = " + ".join(f"{middle(runs, what):.1f}" for what in ("store", "registry", "client"))
    above = max(run.above for run in runs) / 2**20
    seconds = sorted(run.seconds for run in runs)
    print(f"| {name} | {seconds[0]:.2f} | {middle(runs, 'seconds'):.2f} | {seconds[-1]:.2f} | {cpu} | {above:.1f} |")


def main() -> None:
    """Measures, and prints the tables."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--sizes", type=size_of, nargs="*", default=[1 << 30, 4 << 30, 9 << 30])
    asked.add_argument("--rounds", type=int, default=3)
    wish = asked.parse_args()
    print("| model | min s | median s | max s | CPU s: store, registry, client | MiB above idle |", flush=True)
    print("|---|---|---|---|---|---|", flush=True)
    for size in wish.sizes:
        line(f"{size / 2**30:.1f} GiB in one file", bring([endless(size)], 1))
    line(f"{SMALL >> 20} MiB in one file", one := bring([endless(SMALL)], wish.rounds))
    with tempfile.TemporaryDirectory(prefix="tandem-small-") as folder:
        files = files_of(small_files(made(Path(folder) / "model"), COUNT, SMALL))
        line(f"{SMALL >> 20} MiB in {COUNT} files", many := bring(files, wish.rounds))
    print(f"\nper byte, {COUNT} files against one: {middle(many, 'seconds') / middle(one, 'seconds'):.2f}")


if __name__ == "__main__":
    main()
