"""containerd pulls a layer of fp16 weights that lies in the registry as it is, as gzip, and as zstd, in turn:
`python benchmarks/pull.py [--size 1GiB] [--rounds 3]`. Needs root, containerd, ctr, gzip and zstd.

Fetching (registry to content store) and unpacking (content store to snapshot) are timed apart; every run has a
containerd with nothing in it. Weights are normally distributed, as trained ones are: `weights.fp16`.
"""

import argparse
import os
import platform
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from servers import Server, containerd, made, registry
from weights import fp16, size_of

from tandem.image_config import ImageConfig, config_bytes
from tandem.images.layers import MEDIA_TYPE, Entry, layer_blob
from tandem.manifests import CONFIG, blob_of
from tandem.models import files_of
from tandem.records import ImageManifest
from tandem.registries import open_registry

PACKERS: dict[str, tuple[str, ...]] = {"as it is": (), "gzip": ("gzip", "-6"), "zstd": ("zstd", "-3", "--quiet")}
SUFFIX = {"as it is": "", "gzip": "+gzip", "zstd": "+zstd"}
WIRE = 1e9 / 8  # bytes a second of the computed column


@dataclass
class Way:
    """One way to hold the layer: its bytes, seconds that packing took; of each run the seconds and CPU seconds."""

    size: int
    packed: float
    fetched: list[float] = field(default_factory=list)
    unpacked: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def row(self, name: str, plain: "Way") -> str:
        """A line of the table."""
        fetch, unpack, cpu = map(statistics.median, (self.fetched, self.unpacked, self.cpu))
        shown = f"{self.size / 2**20:.0f} | {100 * self.size / plain.size:.0f} % | {self.packed:.1f}"
        wire = max(fetch, self.size / WIRE) + unpack
        return f"| {name} | {shown} | {fetch:.2f} | {unpack:.2f} | **{fetch + unpack:.2f}** | {wire:.1f} | {cpu:.1f} |"


def push(folder: Path, size: int, address: str) -> dict[str, Way]:
    """An image for each way, tagged with the last word of its name."""
    fp16(made(folder / "model") / "weights.safetensors", size)
    entries = [Entry(f"model/{blob.name}", blob) for blob in files_of(folder / "model")]
    to, ways, tar, diff = open_registry(f"{address}/bench", folder), dict[str, Way](), folder / "layer", ""
    with tar.open("wb") as opened:
        opened.writelines(layer_blob(entries).open(0))
    for name, packer in PACKERS.items():
        file, began = folder / f"layer.{name.split()[-1]}", time.perf_counter()
        if packer:
            with tar.open("rb") as source, file.open("wb") as packed:
                subprocess.run([*packer, "--stdout"], stdin=source, stdout=packed, check=True)
        took = time.perf_counter() - began if packer else 0.0
        blob = next(blob for blob in files_of(folder) if blob.name == (file.name if packer else tar.name))
        layer = to.write(blob, MEDIA_TYPE + SUFFIX[name])
        diff = diff or layer.digest
        config = config_bytes(ImageConfig(diff_ids=(diff,), env={"WAY": name}))
        to.put(ImageManifest(to.write(blob_of(config, "config.json"), CONFIG), (layer,)), name.split()[-1])
        file.unlink(missing_ok=True)
        ways[name] = Way(blob.size, took)
    return ways


def pull(folder: Path, image: str, way: Way) -> None:
    """Fetched, then unpacked, by a containerd of its own."""
    os.sync()
    with containerd(folder) as server:
        before = server.cpu()
        for words, times in ((("content", "fetch"), way.fetched), (("images", "pull"), way.unpacked)):
            times.append(timed(server, *words, "--plain-http", image))
        way.cpu.append(server.cpu() - before)


def timed(server: Server, *words: str) -> float:
    """Seconds that a command of ctr takes."""
    began = time.perf_counter()
    subprocess.run(["ctr", "--address", server.address, *words], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def table(ways: dict[str, Way]) -> Sequence[str]:
    """The lines to print."""
    titles = (
        "way | MiB | of it | packing s | fetch s | unpack s | pull s | … at 1 Gbit/s (computed) | CPU s: containerd"
    )
    return [f"| {titles} |", "|---|---|---|---|---|---|---|---|---|",
            *(way.row(name, ways["as it is"]) for name, way in ways.items())]  # fmt: skip


def main() -> None:
    """Measures, and prints the table."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--size", type=size_of, default="1GiB")
    asked.add_argument("--rounds", type=int, default=3)
    wish, load = asked.parse_args(), os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="tp") as name, registry(Path(name) / "registry") as server:
        folder = Path(name)
        ways = push(made(folder / "layers"), wish.size, server.address)
        for number in range(wish.rounds):
            for each, way in ways.items():
                pull(folder / f"{number}{each.split()[-1]}", f"{server.address}/bench:{each.split()[-1]}", way)
    words = f"{wish.size / 2**20:.0f} MiB of fp16, {wish.rounds} rounds, {os.cpu_count()} cores, {platform.machine()}"
    print(f"{words}, load before {load:.1f}, {time.strftime('%Y-%m-%d')}\n")
    print("\n".join(table(ways)))


if __name__ == "__main__":
    main()
