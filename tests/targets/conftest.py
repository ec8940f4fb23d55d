"""Layers and images as tars of our own making: honest ones, and such as no builder makes."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tandem.image_config import ImageConfig, config_bytes
from tandem.manifests import CONFIG, blob_of
from tandem.records import Image, ImageManifest
from tandem.registries import open_registry
from tandem.targets.unpack import interpreter_tag

LAYER = "application/vnd.oci.image.layer.v1.tar"
Entry = tuple[str, object]  # a name, and bytes or a TarInfo's attributes


def tar(entries: list[Entry]) -> bytes:
    """A tar of files (bytes) and of whatever attributes say, in this order."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, what in entries:
            info = tarfile.TarInfo(name)
            if isinstance(what, bytes):
                info.size, info.mode = len(what), 0o644
                archive.addfile(info, io.BytesIO(what))
            else:
                assert isinstance(what, dict)
                vars_of = {"mode": 0o755, **what}
                for attribute, value in vars_of.items():
                    setattr(info, attribute, value)
                archive.addfile(info)
    return content.getvalue()


@pytest.fixture
def make_image(tmp_path: Path) -> Callable[..., Image]:
    """make_image([entries], [entries], base=…): an image of these layers."""
    registry = open_registry(f"oci:{tmp_path}/registry", tmp_path)

    def make(*layers: list[Entry], base: str | None = None, command: tuple[str, ...] = ("python", "app.py")) -> Image:
        labels = {
            "dev.tandem.base": f"none {interpreter_tag()}" if base is None else base,
            "dev.tandem.command": json.dumps(command),
        }
        content = config_bytes(ImageConfig(labels=labels, workdir="/app"))
        config = registry.write(blob_of(content, "config.json"), CONFIG)
        written = tuple(registry.write(blob_of(tar(layer), "layer.tar"), LAYER) for layer in layers)
        manifest = ImageManifest(config, written)
        return Image(registry, registry.put(manifest, "v1").digest, manifest)

    return make
