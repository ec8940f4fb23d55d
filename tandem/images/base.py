"""What an app image stands on: nothing (`base = "none"`, the interpreter is this machine's), or an image."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from tandem.documents import dump, load
from tandem.errors import BuildFailed, RegistryError, SettingsError
from tandem.image_config import ImageConfig, config_of
from tandem.images import cache
from tandem.images.inside import Inside, look_inside
from tandem.images.interpreter import MACHINES, Interpreter, this_interpreter
from tandem.manifests import as_oci, image_of
from tandem.records import Blob, Descriptor, Image
from tandem.seams import Registry
from tandem.settings import ImageSettings

OpenBase = Callable[[str], Registry]

LAYER = re.compile(r"application/vnd\.oci\.image\.layer\.v1\.tar(\+gzip|\+zstd)?")


@dataclass(frozen=True)
class Foundation:
    """The base as a builder needs it. `image` is None for "none"; `python` is then "", else its path inside."""

    image: Image | None
    config: ImageConfig
    interpreter: Interpreter
    python: str

    @property
    def label(self) -> str:
        """`dev.tandem.base`: "none" and the interpreter's tag, or the base's digest."""
        return self.image.digest if self.image else f"none {self.interpreter.tag}"


def base_identity(image: ImageSettings, open_base: OpenBase) -> str:
    """What goes into the recipe: the digest of the base's image manifest for the platform, or of "none" the
    interpreter's version, platform and C library. A Dockerfile's base is part of the commit: "dockerfile".

    Raises SettingsError, BuildFailed, RegistryError, Unreachable.
    """
    if image.builder == "docker":
        return "dockerfile"
    found = _base_image(image, open_base)
    return found.digest if found else f"none {this_interpreter().identity}"


def foundation(image: ImageSettings, open_base: OpenBase, folder: Path) -> Foundation:
    """The base, looked into once; what was found is kept in `folder`. Raises as `base_identity`."""
    found = _base_image(image, open_base)
    if found is None:
        own = this_interpreter()
        return Foundation(None, ImageConfig(own.architecture, own.system), own, "")
    config = config_of(found)
    file = folder / "bases" / f"{found.digest.removeprefix('sha256:')}.json"
    inside = load(Inside, content) if (content := cache.read(file)) else look_inside(found, config)
    if content is None:
        cache.keep(file, dump(inside))
    machine = MACHINES[image.platform.removeprefix("linux/")]
    return Foundation(found, config, Interpreter(inside.version, "linux", machine, inside.libc), inside.python)


def copy_layers(base: Image, registry: Registry) -> tuple[Descriptor, ...]:
    """The base's layers in the registry, as they are; streamed where it has them not yet."""
    return tuple(_copied(base, as_oci(layer), registry) for layer in base.manifest.layers)


def _copied(base: Image, layer: Descriptor, registry: Registry) -> Descriptor:
    if not LAYER.fullmatch(layer.media_type):
        raise BuildFailed(f"{base}: a layer of media type {layer.media_type} cannot be copied: choose another base")
    sha256 = layer.digest.removeprefix("sha256:")
    blob = Blob(
        f"base layer {layer.digest}", layer.size, sha256, lambda offset: base.registry.read(layer.digest, offset)
    )
    return replace(registry.write(blob, layer.media_type), annotations=layer.annotations)


def _base_image(image: ImageSettings, open_base: OpenBase) -> Image | None:
    if image.base == "none":
        return None
    url, reference = split(image.base)
    try:
        found = image_of(open_base(url), reference, image.platform)
    except RegistryError as error:
        raise BuildFailed(f"[image] base: {error}") from None
    if found is None:
        raise BuildFailed(f"[image] base = {image.base!r}: no image {reference} in {url}: push it there, or correct it")
    return found


def split(base: str) -> tuple[str, str]:
    """A base's registry and its tag or digest: `oci:folder:tag`, `host/repository@sha256:…`. Raises SettingsError."""
    url, at, digest = base.partition("@")
    if at:
        return url, digest
    scheme, rest = ("oci:", base.removeprefix("oci:")) if base.startswith("oci:") else ("", base)
    path, colon, tag = rest.rpartition(":")
    if not colon or "/" in tag or not path:
        raise SettingsError(
            f'[image] base = {base!r}: name a digest or tag, as in "oci:bases/python@sha256:…", or "none"'
        )
    return scheme + path, tag
