"""Every registry that the contract is held by: a line in `registry`, and a fixture that starts the real thing."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tandem.manifests import CONFIG, blob_of
from tandem.records import Descriptor, Image, ImageManifest
from tandem.registries import open_registry
from tandem.seams import Registry

LAYER = "application/vnd.oci.image.layer.v1.tar"


@pytest.fixture
def oci_url(tmp_path: Path) -> str:
    return f"oci:{tmp_path}/registry"


@pytest.fixture(params=["oci"])
def url(request: pytest.FixtureRequest) -> str:
    """A registry's name, with nothing in it yet; another process may open it too."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def registry(url: str, tmp_path: Path) -> Registry:
    return open_registry(url, tmp_path)


@pytest.fixture
def push(registry: Registry) -> Callable[..., Image]:
    """push("name", tag=…) puts an image of one layer, whose bytes are the name."""

    def push(
        name: str,
        tag: str | None = None,
        subject: Descriptor | None = None,
        kind: str | None = None,
        annotations: Mapping[str, str] | None = None,
    ) -> Image:
        config = registry.write(blob_of(b'{"name":"%s"}' % name.encode(), "config.json"), CONFIG)
        layer = registry.write(blob_of(name.encode(), f"{name}.tar"), LAYER)
        manifest = ImageManifest(config, (layer,), annotations or {}, subject, kind)
        return Image(registry, registry.put(manifest, tag).digest, manifest)

    return push
