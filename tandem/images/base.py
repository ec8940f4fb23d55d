"""What an app image stands on: nothing (`base = "none"`, the interpreter is this machine's), or an image."""

import hashlib
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
from tandem.records import Blob, Descriptor, Image, ImageManifest
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
    if image.base == "none":
        return f"none {this_interpreter().identity}"
    return _base_image(image, open_base).digest


def foundation(image: ImageSettings, open_base: OpenBase, folder: Path) -> Foundation:
    """The base, looked into once: a base by digest costs no request from then on. Raises as `base_identity`.

    What was found is kept in `folder`.
    """
    if image.base == "none":
        own = this_interpreter()
        return Foundation(None, ImageConfig(own.architecture, own.system), own, "")
    url, reference = split(image.base)
    pinned = reference if reference.startswith("sha256:") else base_identity(image, open_base)
    key = hashlib.sha256(f"{pinned} {image.platform}".encode()).hexdigest()
    file = folder / "bases" / f"{key}.json"
    if content := cache.read(file):
        known = load(_Known, content)
    else:
        known = _look(image, open_base)
        cache.keep(file, dump(known))
    inside, machine = known.inside, MACHINES[image.platform.removeprefix("linux/")]
    interpreter = Interpreter(inside.version, "linux", machine, inside.libc)
    return Foundation(Image(open_base(url), known.digest, known.manifest), known.config, interpreter, inside.python)


@dataclass(frozen=True)
class _Known:
    """A base as it was found, and what it holds."""

    digest: str
    manifest: ImageManifest
    config: ImageConfig
    inside: Inside


def _look(image: ImageSettings, open_base: OpenBase) -> _Known:
    found = _base_image(image, open_base)
    config = config_of(found)
    if (its := f"{config.os}/{config.architecture}") != image.platform:
        raise BuildFailed(f"{found}: made for {its}, [image] platform is {image.platform}: correct one of them")
    if len(config.diff_ids) != len(found.manifest.layers):
        counts = f"{len(found.manifest.layers)} layers, and {len(config.diff_ids)} in its config"
        raise BuildFailed(f"{found}: {counts}: it is no image to run; choose another base")
    return _Known(found.digest, found.manifest, config, look_inside(found, config))


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


def _base_image(image: ImageSettings, open_base: OpenBase) -> Image:
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
