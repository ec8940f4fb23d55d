"""The builder that needs no daemon: base layers + a layer of packages + a layer of the app's files + config.

As Jib and ko do it. Nothing is run that the image holds; nothing is packed; and the same commit, settings and locked
requirements give the same digest, whatever the clock, the umask, the user or the order of a folder.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tandem.errors import BuildFailed, SettingsError
from tandem.image_config import config_bytes
from tandem.images.base import OpenBase, copy_layers, foundation
from tandem.images.config import app_config
from tandem.images.files import app_files
from tandem.images.layers import MEDIA_TYPE, layer_blob
from tandem.images.lock import text
from tandem.images.packages import choose, packages_layer
from tandem.images.requirements import Requirements, read
from tandem.manifests import CONFIG, digest_of, manifest_bytes
from tandem.records import Blob, Descriptor, Image, ImageManifest, Source
from tandem.seams import Registry
from tandem.settings import ImageSettings


@dataclass(frozen=True)
class Assemble:
    """The builder `assemble`. `folder` is its cache; `model` the path of the model's folder in the image."""

    folder: Path
    model: str
    open_base: OpenBase
    remembered: Mapping[str, Descriptor]

    def build(self, source: Source, image: ImageSettings, registry: Registry) -> Image:
        """The app image of a commit: its layers in the registry. Raises BuildFailed, SettingsError, Unreachable.

        Its config and image manifest are not: nobody runs it without a model, and each costs requests.
        """
        _check(image)
        files = layer_blob(app_files(source, image.files, image.workdir), "files.tar")
        requirements = _requirements(source, image)
        base = foundation(image, self.open_base, self.folder)
        packages = choose(requirements, base.interpreter, base.python, self.folder)

        below = copy_layers(base.image, registry) if base.image else ()
        layers = (
            ("packages", packages_layer(packages, self.folder, registry, self.remembered)),
            ("the app's files", registry.write(_hashed(files), MEDIA_TYPE)),
        )
        content = config_bytes(app_config(base, layers, source.commit, image, self.model))
        config = Descriptor(CONFIG, digest_of(content), len(content))
        annotations = {
            "org.opencontainers.image.created": source.commit.time.isoformat(),
            "org.opencontainers.image.revision": source.commit.id,
        }
        manifest = ImageManifest(config, (*below, *(layer for _, layer in layers)), annotations)
        return Image(registry, digest_of(manifest_bytes(manifest)), manifest, text(packages.lines), content)


def _requirements(source: Source, image: ImageSettings) -> Requirements:
    if image.requirements is None:
        return Requirements()
    return read(Path(source.folder, image.requirements), Path(source.folder))


def _check(image: ImageSettings) -> None:
    parts = image.workdir.split("/")
    if not image.workdir.startswith("/") or ".." in parts or len(parts) < 2 or parts[1] in {"", "venv"}:
        raise SettingsError(f'image.workdir: {image.workdir!r}: a folder of the app\'s own, such as "/app"')
    if not image.command:
        raise SettingsError('image.command: empty: name what starts the app, such as ["python", "app.py"]')
    if any("=" in name or not name for name in image.env):
        raise BuildFailed(f"image.env: a name without '=' is wanted, not {sorted(image.env)}")


def _hashed(blob: Blob) -> Blob:
    """The same blob with its hash, read once; so that a registry which has it is only asked."""
    passed = hashlib.sha256()
    for piece in blob.open(0):
        passed.update(piece)
    return Blob(blob.name, blob.size, passed.hexdigest(), blob.open)
