"""The model manifest and the pointer document: what a store keeps beside the files.

A version is the SHA-256 of its manifest's bytes, so that `sha256sum manifest.json` checks it.
"""

import hashlib
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Annotated

from pydantic import Field, ValidationError

from tandem import documents
from tandem.errors import ModelDamaged, ModelRefused
from tandem.models.names import check_files
from tandem.records import Blob, Facts


@dataclass(frozen=True)
class ManifestFile:
    """A file as the model manifest names it. `sha256` is lower-case hex."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class ModelManifest:
    """All that makes a version: its files, sorted by name, and its facts."""

    files: tuple[ManifestFile, ...]
    metrics: dict[str, float] = field(default_factory=dict)
    about: dict[str, str] = field(default_factory=dict)
    layers: dict[str, Annotated[str, Field(pattern="^[0-9a-f]{64}$")]] = field(default_factory=dict)

    @property
    def content(self) -> bytes:
        """The manifest's bytes; without `layers` where its publisher named none."""
        document = asdict(self)
        return documents.canonical({key: value for key, value in document.items() if value or key != "layers"})

    @property
    def version(self) -> str:
        """The SHA-256 of the manifest's bytes."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def facts(self) -> Facts:
        """What its publisher said."""
        return Facts(self.metrics, self.about, self.layers)


@dataclass(frozen=True)
class Listed:
    """A version in the pointer document."""

    version: str
    published: datetime
    by: str = ""


@dataclass(frozen=True)
class Pointer:
    """latest.json: a model's versions, newest first."""

    versions: tuple[Listed, ...] = ()


def manifest_of(files: Iterable[Blob], facts: Facts) -> ModelManifest:
    """The model manifest of hashed files; raises ModelRefused for names or metrics that cannot be kept."""
    listed = []
    for blob in sorted(files, key=lambda blob: blob.name):
        if blob.sha256 is None:
            raise ValueError(f"{blob.name} has not been hashed")
        listed.append(ManifestFile(blob.name, blob.size, blob.sha256))
    if not listed:
        raise ModelRefused("a model without files: name the folder that holds them")
    check_files(file.name for file in listed)
    for metric, value in facts.metrics.items():
        if not math.isfinite(value):
            raise ModelRefused(f"metric {metric!r} is {value}: a metric is a finite number")
    metrics = {metric: float(value) for metric, value in facts.metrics.items()}
    return ModelManifest(tuple(listed), metrics, dict(facts.about), dict(facts.layers))


def read_manifest(content: bytes, version: str, where: str) -> ModelManifest:
    """The manifest back, checked against its version; raises ModelDamaged, or ModelRefused for hostile names."""
    if hashlib.sha256(content).hexdigest() != version:
        raise ModelDamaged(f"{where} does not hash to its version: delete it there and publish the same files again")
    try:
        manifest = documents.load(ModelManifest, content)
    except ValidationError as error:
        raise ModelDamaged(f"{where} is no model manifest: {error.errors()[0]['msg']}") from None
    check_files(file.name for file in manifest.files)
    return manifest


def read_pointer(content: bytes | None, where: str) -> Pointer:
    """The list of versions; empty where nobody has published. Raises ModelDamaged."""
    if content is None:
        return Pointer()
    try:
        return documents.load(Pointer, content)
    except ValidationError as error:
        raise ModelDamaged(f"{where} is no list of versions: {error.errors()[0]['msg']}: restore it") from None
