"""From a Docker daemon into the registry: pushed where it is one on the network, exported where it is a folder."""

import json
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import docker

from tandem.errors import BuildFailed, NotInRegistry, Unreachable
from tandem.images.docker_daemon import Daemon, push_failure
from tandem.images.docker_log import Refused, follow
from tandem.images.layers import MEDIA_TYPE
from tandem.manifests import CONFIG, image_of
from tandem.records import Blob, Descriptor, Image, ImageManifest
from tandem.seams import Registry

PIECE = 1024 * 1024


@dataclass(frozen=True)
class Delivered:
    """The daemon's image in the registry; `temporary` where an image manifest of docker's own stands there for it."""

    image: Image
    temporary: bool


def deliver(
    client: docker.DockerClient,
    daemon: Daemon,
    built: str,
    registry: Registry,
    tag: str,
    platform: str,
    login: Mapping[str, str] | None,
) -> Delivered:
    """Bring the image with the id `built` into the registry, by docker's `tag` of it. RegistryError, Unreachable."""
    if str(registry).startswith("oci:"):
        return Delivered(_exported(client, built, registry), temporary=False)
    name = str(registry)
    messages = client.api.push(name, tag, stream=True, decode=True, auth_config=dict(login) if login else None)
    try:
        aux = follow(messages, daemon.say, daemon.tell)
    except Refused as refused:
        raise push_failure(refused.text, name) from None
    digests = [str(each["Digest"]) for each in aux if "Digest" in each]
    if not digests:
        raise Unreachable(f"Docker pushing {name}: the daemon told no digest: try again")
    try:
        image = image_of(registry, digests[-1], platform)
    except NotInRegistry:
        image = None
    if image is None:  # another build of the same commit is through, and has tidied up
        raise Unreachable(f"{name}: {digests[-1]} was removed just after it was pushed: try again")
    return Delivered(image, temporary=True)


def _exported(client: docker.DockerClient, built: str, registry: Registry) -> Image:
    """The layers, unpacked, by way of a file of this machine: a folder's registry is for one machine."""
    with tempfile.TemporaryFile() as file:
        for piece in client.api.get_image(built):
            file.write(piece)
        file.seek(0)
        with tarfile.open(fileobj=file) as archive:
            try:
                described = json.loads(_read(archive, "manifest.json"))[0]
                config = _read(archive, described["Config"])
                members = [_file(archive, str(name)) for name in described["Layers"]]
            except (KeyError, ValueError, IndexError, TypeError) as error:
                raise BuildFailed(f"docker's export of {built} is none that is known here: {error!r}") from None
            layers = tuple(registry.write(_layer(file, member), MEDIA_TYPE) for member in members)
            _same(config, layers, built)
            whole = Blob("config.json", len(config), None, lambda offset: iter([config[offset:]]))
            manifest = ImageManifest(registry.write(whole, CONFIG), layers)
    return Image(registry, registry.put(manifest).digest, manifest)


def _same(config: bytes, layers: tuple[Descriptor, ...], built: str) -> None:
    diff_ids = json.loads(config)["rootfs"]["diff_ids"]
    if diff_ids != [layer.digest for layer in layers]:
        raise BuildFailed(f"docker's export of {built} holds other layers than its config says: export it again")


def _file(archive: tarfile.TarFile, name: str) -> tarfile.TarInfo:
    """A member's file; equal layers are links to the first of them."""
    member = archive.getmember(name)
    if member.issym():
        return archive.getmember(str(_resolved(Path(name).parent / member.linkname)))
    return member


def _resolved(path: Path) -> Path:
    parts: list[str] = []
    for part in path.parts:
        parts = parts[:-1] if part == ".." else [*parts, part]
    return Path(*parts)


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    content = archive.extractfile(_file(archive, name))
    if content is None:
        raise KeyError(name)
    return content.read()


def _layer(file: IO[Any], member: tarfile.TarInfo) -> Blob:
    def pieces(offset: int) -> Iterator[bytes]:
        at, end = member.offset_data + offset, member.offset_data + member.size
        while at < end:
            file.seek(at)
            piece = file.read(min(PIECE, end - at))
            if not piece:
                return
            at += len(piece)
            yield piece

    return Blob(member.name, member.size, None, pieces)
