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
from tests.conftest import free_port as any_port

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

    def make(
        *layers: list[Entry],
        base: str | None = None,
        command: tuple[str, ...] = ("python", "app.py"),
        port: int = 8000,
        tag: str = "v1",
    ) -> Image:
        labels = {
            "dev.tandem.base": f"none {interpreter_tag()}" if base is None else base,
            "dev.tandem.command": json.dumps(command),
            "dev.tandem.port": str(port),
        }
        content = config_bytes(ImageConfig(labels=labels, workdir="/app"))
        config = registry.write(blob_of(content, "config.json"), CONFIG)
        written = tuple(registry.write(blob_of(tar(layer), "layer.tar"), LAYER) for layer in layers)
        manifest = ImageManifest(config, written)
        return Image(registry, registry.put(manifest, tag).digest, manifest)

    return make


@pytest.fixture
def app_image(make_image: Callable[..., Image]) -> Callable[..., Image]:
    """app_image("v1", "crash", command=…): an image of the contract tests' small app."""
    app = Path(__file__).parents[1] / "contracts" / "targets" / "app.py"

    def make(
        version: str, how: str = "", command: tuple[str, ...] = ("python", "app.py", "{listen}"), port: int = 8000
    ) -> Image:
        entries = [("app/app.py", app.read_bytes()), ("app/version", version.encode())]
        return make_image(entries, command=(*command, how), port=port, tag=version)

    return make


@pytest.fixture
def free_port() -> int:
    """A port that nobody has now."""
    return any_port()


@pytest.fixture
def unused_port(free_port: int) -> int:
    """Another one."""
    return next(port for port in iter(any_port, None) if port != free_port)
