import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tandem.manifests import CONFIG, blob_of
from tandem.records import Descriptor, Image, ImageManifest
from tandem.registries.layout import LayoutRegistry


@pytest.fixture
def passed() -> list[float]:
    return []


@pytest.fixture
def later(passed: list[float]) -> Callable[[float], None]:
    """later(3600) lets an hour pass for the registry."""
    return passed.append


@pytest.fixture
def registry(tmp_path: Path, passed: list[float]) -> LayoutRegistry:
    return LayoutRegistry(f"oci:{tmp_path}/registry", tmp_path / "registry", lambda: time.time() + sum(passed))


@pytest.fixture
def push(registry: LayoutRegistry) -> Callable[..., Image]:
    """push("a", "b", tag=…) puts an image with these layers, each of whose bytes are its name."""

    def push(*layers: str, tag: str | None = None, subject: Descriptor | None = None) -> Image:
        config = registry.write(blob_of(f"{{{layers}}}".encode(), "config.json"), CONFIG)
        parts = tuple(registry.write(blob_of(layer.encode(), layer), "application/x-layer") for layer in layers)
        manifest = ImageManifest(config, parts, {}, subject, "application/x-kind" if subject else None)
        return Image(registry, registry.put(manifest, tag).digest, manifest)

    return push


@pytest.fixture
def blobs(registry: LayoutRegistry) -> Callable[[], set[bytes]]:
    """The contents of every blob on the disk."""
    return lambda: {file.read_bytes() for file in (registry.folder.path / "blobs" / "sha256").iterdir()}
