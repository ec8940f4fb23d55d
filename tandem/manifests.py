"""Image manifests, indexes and descriptors as JSON and back (OCI image-spec 1.1; Docker's image manifest v2 is read).

What a registry writes, what a builder finds in a base image and what a target asks an image all pass through here.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tandem.documents import canonical
from tandem.errors import DigestMismatch, RegistryError
from tandem.records import Blob, Descriptor, Image, ImageManifest
from tandem.seams import Registry

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
LIMIT = 4 * 1024 * 1024  # bytes; ACR and Debian's registry take no larger manifest, and no honest config is larger

DOCKER_TO_OCI = {
    DOCKER_MANIFEST: MANIFEST,
    DOCKER_INDEX: INDEX,
    "application/vnd.docker.container.image.v1+json": CONFIG,
    "application/vnd.docker.image.rootfs.diff.tar": "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip": "application/vnd.oci.image.layer.v1.tar+gzip",
}
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True)
class Index:
    """An OCI image index (image-index.md), or Docker's manifest list: one image for each platform."""

    manifests: tuple[Descriptor, ...]
    annotations: Mapping[str, str] = field(default_factory=dict)


def digest_of(content: bytes) -> str:
    """`sha256:` and the hash of these bytes, as the lower-case hex that descriptors use."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def blob_of(content: bytes, name: str) -> Blob:
    """These bytes as a Blob."""
    return Blob(name, len(content), digest_of(content).removeprefix("sha256:"), lambda offset: iter([content[offset:]]))


def check(content: bytes, digest: str, where: object) -> bytes:
    """The bytes, if they hash to the digest; else DigestMismatch."""
    if digest_of(content) != digest:
        raise DigestMismatch(f"{where}: {digest} holds bytes of {digest_of(content)}: damaged there, push it again")
    return content


def is_digest(reference: str) -> bool:
    """Whether a reference is a SHA-256 digest, or else a tag; RegistryError where it can be neither."""
    if DIGEST.fullmatch(reference):
        return True
    if TAG.fullmatch(reference):
        return False
    raise RegistryError(f"{reference!r} is neither a tag nor a digest (sha256: and 64 hex digits)")


def manifest_bytes(manifest: ImageManifest) -> bytes:
    """An image manifest's canonical JSON: equal manifests give equal bytes, and so one digest."""
    document: dict[str, object] = {
        "schemaVersion": 2,
        "mediaType": manifest.media_type,
        "config": descriptor_json(manifest.config),
        "layers": [descriptor_json(layer) for layer in manifest.layers],
    }
    if manifest.artifact_type:
        document["artifactType"] = manifest.artifact_type
    if manifest.subject:
        document["subject"] = descriptor_json(manifest.subject)
    if manifest.annotations:
        document["annotations"] = dict(manifest.annotations)
    return canonical(document)


def descriptor_json(descriptor: Descriptor) -> dict[str, Any]:
    """A descriptor as the JSON object of descriptor.md."""
    document: dict[str, Any] = {
        "mediaType": descriptor.media_type,
        "digest": descriptor.digest,
        "size": descriptor.size,
    }
    if descriptor.annotations:
        document["annotations"] = dict(descriptor.annotations)
    if descriptor.artifact_type:
        document["artifactType"] = descriptor.artifact_type
    if descriptor.platform:
        document["platform"] = dict(descriptor.platform)
    return document


def parse_descriptor(document: Any) -> Descriptor:
    """A descriptor of its JSON object; ValueError where it is none, or goes by another hash than SHA-256."""
    try:
        digest, size = document["digest"], document["size"]
        if not isinstance(digest, str) or not DIGEST.fullmatch(digest) or not isinstance(size, int) or size < 0:
            raise ValueError(f"no descriptor: digest {digest!r}, size {size!r}")
        return Descriptor(
            str(document.get("mediaType", MANIFEST)),
            digest,
            size,
            _texts(document.get("annotations")),
            document.get("artifactType"),
            document.get("platform"),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no descriptor: {error!r}") from None


def parse(content: bytes, what: object) -> ImageManifest | Index:
    """An image manifest or an index of its bytes; RegistryError, naming `what`, where they are neither."""
    try:
        document = json.loads(content)
        annotations = _texts(document.get("annotations"))
        if isinstance(document.get("manifests"), list):
            return Index(tuple(map(parse_descriptor, document["manifests"])), annotations)
        subject = document.get("subject")
        return ImageManifest(
            parse_descriptor(document["config"]),
            tuple(map(parse_descriptor, document["layers"])),
            annotations,
            parse_descriptor(subject) if subject else None,
            document.get("artifactType"),
            str(document.get("mediaType", MANIFEST)),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RegistryError(f"{what}: neither an image manifest nor an index: {error}: push it again") from None


def _texts(value: Any) -> dict[str, str]:
    return {str(key): str(text) for key, text in dict(value or {}).items()}


def as_oci(descriptor: Descriptor) -> Descriptor:
    """The same content under OCI's media type, where Docker's means the same."""
    return replace(descriptor, media_type=DOCKER_TO_OCI.get(descriptor.media_type, descriptor.media_type))


def image_of(registry: Registry, reference: str, platform: str = "linux/amd64") -> Image | None:
    """The image that a tag or digest names, for the platform where there are several; None where there is none.

    Raises RegistryError where an index has nothing for the platform, Unreachable.
    """
    found = registry.resolve(reference)
    if found is None:
        return None
    parsed = parse(registry.manifest(found.digest), f"{registry} {reference}")
    if isinstance(parsed, ImageManifest):
        return Image(registry, found.digest, parsed)
    platforms = {
        f"{p.get('os')}/{p.get('architecture')}": each for each in reversed(parsed.manifests) if (p := each.platform)
    }
    if platform not in platforms:
        known = ", ".join(sorted(platforms)) or "nothing"
        raise RegistryError(f"{registry} {reference} is not made for {platform}, only for {known}")
    return image_of(registry, platforms[platform].digest, platform)
