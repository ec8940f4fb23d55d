"""A store that limits each connection: Tandem as it is, and with no room for ranges side by side, in turn:
`python benchmarks/narrow.py [--size 256MiB] [--rate 16MiB] [--round-trip 0.02] [--rounds 3]`.
"""

import argparse
import os
import tempfile
from pathlib import Path

from measure import Meter, Run
from servers import azurite, free_port, front, made, registry
from shapes import line
from weights import endless, publish, size_of, small_files

from tandem.models import files_of

FEW = 4  # files side by side, as many as carry_layers brings at once


def main() -> None:
    """Measures, and prints the table."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--size", type=size_of, default=256 << 20)
    asked.add_argument("--rate", type=size_of, default=16 << 20, help="a second and connection")
    asked.add_argument("--round-trip", type=float, default=0.02, help="seconds")
    asked.add_argument("--rounds", type=int, default=3)
    wish, port = asked.parse_args(), free_port()
    runs: dict[tuple[str, str], list[Run]] = {}
    with tempfile.TemporaryDirectory(prefix="tandem-narrow-") as name:
        folder = Path(name)
        models = {"one file": [endless(wish.size)],
                  f"{FEW} files": files_of(small_files(made(folder / "few"), FEW, wish.size))}  # fmt: skip
        with front(folder / "front", f"127.0.0.1:{port}", wish.round_trip, wish.rate) as wire:
            with azurite(folder / "azurite", port):
                urls = {shape: publish(wire, f"in-{files[0].size}", files) for shape, files in models.items()}
            for number in range(wish.rounds):
                for shape, url in urls.items():
                    for job in ("bring", "one-stream"):
                        os.sync()
                        with azurite(folder / "azurite", port) as store, registry(folder / f"{number}") as server:
                            run = Meter(store, server).tandem(job, url, f"{server.address}/bench")
                        runs.setdefault((shape, job), []).append(run)
    print("| model | min s | median s | max s | CPU s: store, registry, client | MiB above idle |")
    print("|---|---|---|---|---|---|")
    for (shape, job), each in runs.items():
        line(f"{wish.size >> 20} MiB in {shape}, {job}", each)


if __name__ == "__main__":
    main()
