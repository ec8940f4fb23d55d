"""Puts an image with evidence and a tag, once for every step on the disk, and dies by SIGKILL at that step.

python dies.py FOLDER prints one line of JSON for each death: the step, and what a reader then finds. However slow the
machine is, no single step may take PATIENCE: then where it stands is written to standard error, and it ends.
"""

import faulthandler
import itertools
import json
import os
import signal
import sys
from pathlib import Path

from tandem.errors import TandemError
from tandem.manifests import CONFIG, blob_of, image_of
from tandem.records import ImageManifest
from tandem.registries.evidence import TESTS, attach, find
from tandem.registries.layout import LayoutRegistry

PATIENCE = 30  # seconds
STEPS = {"open", "os.rename", "os.remove", "os.mkdir", "os.utime", "fcntl.flock"}


def push(registry: LayoutRegistry, tag: str) -> None:
    config = registry.write(blob_of(tag.encode(), "config.json"), CONFIG)
    layer = registry.write(blob_of(tag.encode() * 9999, "layer.tar"), "application/x-layer")
    image = registry.put(ImageManifest(config, (layer,)))
    attach(registry, image, TESTS, {"of": tag})
    registry.put(ImageManifest(config, (layer,)), tag)
    registry.delete(registry.put(ImageManifest(config, (layer,), {"doomed": tag}), f"doomed-{tag}").digest)


def die_at(step: int, registry: LayoutRegistry) -> bool:
    """Whether the child died; False once it ended by itself before the step came."""
    if not (child := os.fork()):
        signal.alarm(PATIENCE)
        steps = itertools.count(1)

        def audit(event: str, arguments: object) -> None:
            if event == "fcntl.flock" or (event in STEPS and "registry" in str(arguments)):
                count()

        def profile(frame: object, event: str, function: object) -> None:
            if event == "c_call" and getattr(function, "__name__", "") in {"write", "fsync"}:
                count()

        def count() -> None:
            if next(steps) == step:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(audit)  # every step that changes names
        sys.setprofile(profile)  # and every one that changes contents
        push(registry, f"v{step}")
        os._exit(0)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if ended not in {0, -signal.SIGKILL}:
        raise SystemExit(f"step {step}: the writer ended by itself with {ended}: stood still, or failed")
    return ended != 0


def look(registry: LayoutRegistry, step: int) -> str:
    """Every tag leads to a whole image whose evidence is there; and the next writer leaves nothing of the dead one."""
    for tag in registry.tags():
        image = image_of(registry, tag)
        if image is None or not (tag.startswith("doomed") or find(registry, image.digest, TESTS)):
            return f"{tag} has no image or no evidence"
        for part in (image.manifest.config, *image.manifest.layers):
            if sum(map(len, registry.read(part.digest))) != part.size:
                return f"{tag} is cut"
    push(registry, f"v{step}")
    left = list((registry.folder.path / ".uploads").iterdir())
    return f"left over: {left}" if left or f"v{step}" not in registry.tags() else "whole"


def main(path: Path, used: bool) -> None:
    died, step = True, 0
    while died and step < (200 if used else 20):  # a layout is made in the first steps, or never
        step += 1
        signal.alarm(2 * PATIENCE)
        registry = LayoutRegistry("oci:registry", path / f"registry-{used}-{step}")
        if used:
            push(registry, "before")
        died = die_at(step, registry)
        try:
            found = look(registry, step)
        except TandemError as error:
            found = repr(error)
        print(json.dumps({"step": step, "died": died, "found": found}), flush=True)


faulthandler.register(signal.SIGALRM, chain=True)  # tells where, then dies of it
for used in (False, True):
    main(Path(sys.argv[1]), used)
