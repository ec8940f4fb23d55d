"""A base image in the registry of the app's own images."""

from dataclasses import replace
from pathlib import Path

import pytest

from tandem.flows import backends
from tandem.images.base import copy_layers
from tandem.settings import AppSettings, Settings
from tests.docker_engine import BaseImage


class Unread:
    def read(self, digest: str, offset: int = 0):
        raise AssertionError(f"{digest} was streamed, and was to be mounted")


def settings(root: Path, base: str, registry: str) -> Settings:
    image = {"base": base, "registry": registry}
    return Settings(
        "shop", root, AppSettings.model_validate({"model": {"store": "file://m", "name": "m"}, "image": image})
    )


def test_its_layers_are_mounted_and_nothing_travels(base_image: BaseImage, tmp_path: Path) -> None:
    host = base_image.name.partition("/")[0]
    registry = backends.registry(settings(tmp_path, base_image.name, f"{host}/shops/{tmp_path.name.replace('_', '-')}"))
    copied = copy_layers(replace(base_image.image, registry=Unread()), registry)
    for layer in copied:
        assert len(b"".join(registry.read(layer.digest, layer.size - 10))) == 10


@pytest.mark.parametrize(
    ("base", "registry", "beside"),
    [
        ("acr.example.org/bases/python@sha256:" + "a" * 64, "acr:acr.example.org/shop", ("bases/python",)),
        ("other.example.org/bases/python@sha256:" + "a" * 64, "acr.example.org/shop", ()),
        ("acr.example.org/shop@sha256:" + "a" * 64, "acr.example.org/shop", ()),
        ("oci:bases/python:3.11", "acr.example.org/shop", ()),
        ("acr.example.org/bases/python:3.11", "oci:registry", ()),
    ],
)
def test_only_a_base_on_the_same_host_is_mounted(tmp_path: Path, base: str, registry: str, beside: tuple) -> None:
    assert getattr(backends.registry(settings(tmp_path, base, registry)), "sources", ()) == beside
