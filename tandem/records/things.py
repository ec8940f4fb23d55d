"""What is put together and run: blobs, models, commits, images, candidates."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from tandem.seams import Registry

T = TypeVar("T")


@dataclass(frozen=True)
class Blob:
    """A run of bytes by a relative POSIX path, that can be read from any offset, as often as needed.

    `open(offset)` yields pieces (64 KiB to 4 MiB each). `sha256` is hex, compared by who takes the bytes, or None.
    """

    name: str
    size: int
    sha256: str | None
    open: Callable[[int], Iterator[bytes]] = field(compare=False, repr=False)


@dataclass(frozen=True)
class Facts:
    """What a publisher says of a model: numbers to compare by, and words. Part of the model manifest.

    `layers` is what image layers of its files are called (SHA-256, hex), by the key of those files: images/carry.py.
    """

    metrics: Mapping[str, float] = field(default_factory=dict)
    about: Mapping[str, str] = field(default_factory=dict)
    layers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Model:
    """One version of a model. `version` is the SHA-256 (hex) of its model manifest."""

    name: str
    version: str
    files: tuple[Blob, ...]
    facts: Facts = Facts()
    published: datetime | None = None
    by: str = ""


@dataclass(frozen=True)
class Commit:
    """A commit by its full id (40 or 64 hex digits), with what a person wants to read of it."""

    id: str
    author: str
    email: str
    subject: str
    time: datetime


@dataclass(frozen=True)
class Source:
    """A commit, checked out: `folder` is an absolute path that lives as long as the run."""

    commit: Commit
    folder: str


@dataclass(frozen=True)
class Descriptor:
    """An OCI content descriptor (image-spec, descriptor.md)."""

    media_type: str
    digest: str
    size: int
    annotations: Mapping[str, str] = field(default_factory=dict)
    artifact_type: str | None = None
    platform: Mapping[str, str] | None = None


@dataclass(frozen=True)
class ImageManifest:
    """An OCI image manifest (image-spec, manifest.md); with `subject`, a referrer of that image."""

    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: Mapping[str, str] = field(default_factory=dict)
    subject: Descriptor | None = None
    artifact_type: str | None = None
    media_type: str = "application/vnd.oci.image.manifest.v1+json"


@dataclass(frozen=True)
class Image:
    """An image in a registry, by its image manifest's digest.

    Of one built just now: its Python packages as a requirements file (`lock`), and its config.
    """

    registry: "Registry" = field(compare=False, repr=False)
    digest: str
    manifest: ImageManifest
    lock: str = field(default="", compare=False, repr=False)
    config: bytes = field(default=b"", compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.registry}@{self.digest}"


@dataclass(frozen=True)
class Pair:
    """What a candidate is made of: commit id × model version × recipe hash (all hex, whole)."""

    commit: str
    model: str
    recipe: str

    @property
    def tag(self) -> str:
        """`<commit12>-<model12>-<recipe8>`: the name by which one HEAD answers "is this built?"."""
        return f"{self.commit[:12]}-{self.model[:12]}-{self.recipe[:8]}"


@dataclass(frozen=True)
class Candidate:
    """A pair whose image is in the registry and whose tests passed."""

    app: str
    pair: Pair
    digest: str

    @property
    def tag(self) -> str:
        """The pair's tag."""
        return self.pair.tag


@dataclass(frozen=True)
class Versioned(Generic[T]):
    """A value and the token that its store gave for it; "" where nothing is stored yet."""

    value: T
    token: str


@dataclass(frozen=True)
class Progress:
    """One step of a roll-out, for people: `done` of `total`, and what is being waited for."""

    message: str
    done: int = 0
    total: int = 0


@dataclass(frozen=True)
class Running:
    """What runs, as the platform says: image digests (one, when all is well), and the address users use.

    What crashed and is started again, `restarts` times so far, counts as running.
    """

    digests: tuple[str, ...]
    address: str | None
    restarts: int = 0
