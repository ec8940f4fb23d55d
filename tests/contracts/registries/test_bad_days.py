import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tandem.manifests import image_of
from tandem.registries.evidence import TESTS, find
from tandem.seams import Registry

WRITER = Path(__file__).with_name("writer.py")


def start(url: str, name: str, *count: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, WRITER, url, name, *count], stdout=subprocess.PIPE, text=True)


def whole(registry: Registry, tag: str) -> None:
    """The tag's image has every blob, byte for byte, and its evidence was there before the tag."""
    image = image_of(registry, tag)
    assert image is not None
    for part in (image.manifest.config, *image.manifest.layers):
        assert sum(map(len, registry.read(part.digest))) == part.size
    assert [json.loads(fact) for fact in find(registry, image.digest, TESTS)] == [{"of": tag}]


def test_two_writers_at_once_lose_nothing_of_each_other(registry: Registry, url: str) -> None:
    writers = [start(url, name, "4") for name in ("a", "b")]
    assert [writer.wait(120) for writer in writers] == [0, 0]
    assert sorted(registry.tags()) == sorted(f"{name}-{number}" for name in "ab" for number in range(4))
    for tag in registry.tags():
        whole(registry, tag)


@pytest.mark.parametrize("seed", range(2))
def test_a_writer_killed_at_any_write_leaves_the_registry_whole(registry: Registry, url: str, seed: int) -> None:
    writer = start(url, f"killed-{seed}")
    assert writer.stdout is not None
    said = [writer.stdout.readline().strip()]
    time.sleep(random.Random(seed).uniform(0, 0.05))  # not a wait: the moment of death is what is drawn
    writer.send_signal(signal.SIGKILL)
    said += writer.stdout.read().split()
    writer.wait()
    assert set(said) <= set(registry.tags())
    for tag in registry.tags():
        whole(registry, tag)
    assert start(url, "after", "1").wait(120) == 0
    whole(registry, "after-0")
