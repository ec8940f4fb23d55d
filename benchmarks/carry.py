"""New weights from Azurite into Debian's registry, by Tandem and by others, in turn:
`python benchmarks/carry.py [--size 1GiB] [--rounds 3] [--docker unix:///var/run/docker.sock]`.

Every run meets a registry with nothing in it; the weights are in the page cache. Everything that is made is in one
temporary folder and goes with it.
"""

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from measure import Meter, Run, row
from peers import Peer, address_of, peers, weights_in
from servers import azurite, free_port, made, registry
from weights import incompressible, publish, size_of

from tandem.models import files_of, open_store
from tandem.settings import ModelSettings

TANDEM = "Tandem: store to tagged image"
Contestant = Callable[[Meter, Path], Run]


def contestants(store: str, address: str, docker: str | None, file: Path) -> dict[str, Contestant]:
    """Who runs, in the order of a round."""

    def tandem(job: str, *rest: str) -> Contestant:
        return lambda meter, folder: meter.tandem(job, store, f"{meter.registry.address}/bench", *rest)

    def other(peer: Peer) -> Contestant:
        return lambda meter, folder: peer(meter, address, folder)

    others = {name: other(peer) for name, peer in peers(docker).items()}
    mine = {
        TANDEM: tandem("bring"),
        "Tandem's client: download alone": tandem("download"),
        "Tandem's client: upload alone": tandem("upload", str(file)),
    }
    return {**mine, **others}


def once(contestant: Contestant, port: int, folder: Path) -> Run:
    """One run, with a registry and a folder of its own, and an Azurite that has served nobody yet."""
    weights_in(folder / "azurite")
    with (
        tempfile.TemporaryDirectory(dir=folder) as scratch,
        registry(Path(scratch) / "registry") as server,
        azurite(folder / "azurite", port) as store,
    ):
        return contestant(Meter(store, server), made(Path(scratch) / "work"))


def measure(folder: Path, size: int, rounds: int, docker: str | None, only: str) -> dict[str, list[Run]]:
    """Every contestant's runs, in turn."""
    file, port = incompressible(made(folder / "model") / "weights.safetensors", size), free_port()
    with azurite(folder / "azurite", port) as server:
        store = publish(server, "bench", files_of(folder / "model"))
        wish = ModelSettings.model_validate({"store": store, "name": "bench"})
        version = next(iter(open_store(wish, folder).versions("bench"))).version
    address = address_of(store, f"bench/{version}/files/{file.name}")
    found = contestants(store, address, docker, file)
    runs: dict[str, list[Run]] = {name: [] for name in found if only in name}
    for number in range(rounds):
        for name, done in runs.items():
            done.append(once(found[name], port, folder))
            print(f"round {number + 1}: {name}: {done[-1].seconds:.2f} s, load {os.getloadavg()[0]:.1f}", flush=True)
    return runs


def main() -> None:
    """Measures, and prints the table."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--size", type=size_of, default="1GiB")
    asked.add_argument("--rounds", type=int, default=3)
    asked.add_argument("--docker", help="a Docker engine's address, to measure docker build and push too")
    asked.add_argument("--only", default="", help="those whose name holds this")
    wish = asked.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="tandem-carry-") as folder:
        runs = measure(Path(folder), wish.size, wish.rounds, wish.docker, wish.only)
    words = f"{wish.size / 2**20:.0f} MiB, {wish.rounds} rounds, {os.cpu_count()} cores, {platform.machine()}"
    print(f"\n{words}, load before {load:.1f}, Python {platform.python_version()}, {time.strftime('%Y-%m-%d')}\n")
    print("| way | min s | median s | max s | Tandem's / this | CPU s: store, registry, client | MiB above idle |")
    print("|---|---|---|---|---|---|---|")
    first = next(iter(runs.values()))
    for name, done in runs.items():
        print(row(name, done, first))


if __name__ == "__main__":
    main()
