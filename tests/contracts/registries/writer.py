"""A process that puts images, evidence and tags for as long as it lives: python writer.py URL NAME [COUNT]."""

import itertools
import sys
from pathlib import Path

from tandem.manifests import CONFIG, blob_of
from tandem.records import ImageManifest
from tandem.registries import open_registry
from tandem.registries.evidence import TESTS, attach


def main(url: str, name: str, count: int | None) -> None:
    registry = open_registry(url, Path.cwd())
    for number in itertools.count() if count is None else range(count):
        unique = f"{name}-{number}"
        config = registry.write(blob_of(b'{"name":"%s"}' % unique.encode(), "config.json"), CONFIG)
        layer = registry.write(blob_of(unique.encode() * 50_000, "layer.tar"), "application/vnd.oci.image.layer.v1.tar")
        image = registry.put(ImageManifest(config, (layer,)))
        attach(registry, image, TESTS, {"of": unique})
        registry.put(ImageManifest(config, (layer,)), tag=unique)
        print(unique, flush=True)


main(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else None)
