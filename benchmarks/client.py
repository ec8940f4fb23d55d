"""Tandem's side of a benchmark, in a process of its own: `python benchmarks/client.py JOB STORE REGISTRY [FILE]`.

It opens the model, says "ready", waits for a line on stdin, does the job, and prints as JSON how long it took in
seconds, the CPU seconds, and by how many bytes its memory rose above what it had when it was ready.
"""

import json
import platform
import resource
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tandem.image_config import ImageConfig, config_bytes
from tandem.images.carry import carry_layers, put_on
from tandem.images.layers import MEDIA_TYPE
from tandem.manifests import CONFIG, blob_of
from tandem.models import checked, open_store
from tandem.models.ahead import ReadAhead
from tandem.records import Blob, Image, ImageManifest, Model
from tandem.registries import open_registry
from tandem.seams import Registry
from tandem.settings import ModelSettings

TIME = datetime(2026, 11, 22, tzinfo=UTC)
SUFFIXES = ["safetensors", "bin"]  # "bin" is allowed by name, and not looked into


def bring(model: Model, registry: Registry) -> None:
    """What a run of integrate does with a new model: from the store into the registry, onto an app image, tagged."""
    config = registry.write(blob_of(config_bytes(ImageConfig()), "config.json"), CONFIG)
    manifest = ImageManifest(config, ())
    app = Image(registry, registry.put(manifest).digest, manifest)
    layers = carry_layers(checked(model, SUFFIXES), "/model", registry, {})
    registry.put(put_on(app, layers, {}, TIME).manifest, "bench")


def download(model: Model, registry: Registry) -> None:
    """The model's bytes, to nowhere."""
    for blob in model.files:
        for _ in blob.open(0):
            pass


def upload(file: Path) -> Callable[[Model, Registry], None]:
    """The bytes of a file on this disk, to the registry, under a digest that is found on the way."""

    def read(offset: int) -> Iterator[bytes]:
        with file.open("rb", buffering=0) as opened:
            opened.seek(offset)
            while piece := opened.read(256 * 1024):
                yield piece

    return lambda model, registry: void(registry.write(Blob(file.name, file.stat().st_size, None, read), MEDIA_TYPE))


def void(_: object) -> None:
    """Nothing."""


def memory(field: str) -> int:
    """Bytes: VmRSS is what is resident now, VmHWM the most that ever was (proc(5), status)."""
    if platform.system() != "Linux":
        return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def main(job: str, store: str, registry: str, *rest: str) -> None:
    """One job."""
    wish = ModelSettings.model_validate({"store": store, "name": "bench", "formats": SUFFIXES})
    opened: Any = open_store(wish, Path())
    if job == "one-stream":  # no room for ranges
        wire = replace(opened.objects.wire, ahead=ReadAhead(room=deque()))
        opened = replace(opened, objects=replace(opened.objects, wire=wire))
    model = next(iter(opened.versions("bench")))
    where = open_registry(registry, Path())
    where.tags()  # a first request: its code is loaded, and its connection open
    work = {"bring": bring, "one-stream": bring, "download": download, "upload": upload(Path(*rest))}[job]
    print("ready", flush=True)
    sys.stdin.readline()
    idle, began, cpu = memory("VmRSS"), time.perf_counter(), time.process_time()
    work(model, where)
    took = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu, "above": memory("VmHWM") - idle}
    print(json.dumps(took), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
