"""The four seams. A backend is one file that fits one of these, and one line in its package's table.

Seams do not know each other; they exchange the records of tandem/records/.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from tandem.records import (
    Blob,
    Descriptor,
    Facts,
    Image,
    ImageManifest,
    Model,
    Progress,
    Running,
    Snapshot,
    Source,
    State,
    Versioned,
)

if TYPE_CHECKING:
    from tandem.settings import ImageSettings


class Store(Protocol):
    """Where models are published and found: `file:///path`, `azure-blob:https://…`, `s3://bucket/prefix`."""

    def versions(self, name: str) -> Iterator[Model]:
        """The model's versions, newest first in publish order; nothing where nobody has published.

        Raises Unreachable, ModelError.
        """

    def model(self, name: str, version: str) -> Model:
        """One version, by its full id or a prefix of it that is unique (8 digits at least).

        Raises ModelNotFound, Unreachable.
        """

    def publish(self, name: str, files: Sequence[Blob], facts: Facts, by: str = "") -> Model:
        """Store a new version and make it the newest; changes nothing where it is in the list already.

        Atomic: a publish that was killed is invisible. Raises ModelDamaged, Unreachable.
        """


class Registry(Protocol):
    """Where images and their evidence are kept: `oci:path/to/folder`, `host[:port]/repository`.

    `str(registry)` is its name as a person writes it. Every method raises Unreachable, RegistryError.
    """

    def resolve(self, reference: str) -> Descriptor | None:
        """The image manifest's descriptor by tag or digest, or None: one HEAD."""

    def manifest(self, digest: str) -> bytes:
        """The bytes of an image manifest or index, checked against its digest. Raises NotInRegistry."""

    def read(self, digest: str, offset: int = 0) -> Iterator[bytes]:
        """A blob's bytes in pieces, checked against the digest when read from 0. Raises NotInRegistry."""

    def write(self, blob: Blob, media_type: str) -> Descriptor:
        """Put a blob there: skipped where it is known to be there, mounted or streamed otherwise."""

    def put(self, manifest: ImageManifest, tag: str | None = None) -> Descriptor:
        """Put an image manifest whose blobs are there already; then, last, point `tag` at it."""

    def tags(self) -> list[str]:
        """Every tag, in no order."""

    def referrers(self, digest: str, kind: str) -> list[Descriptor]:
        """The manifests of artifact type `kind` whose subject is `digest`."""

    def delete(self, digest: str) -> None:
        """Remove an image manifest, its tags and what nothing else needs; no error where it is gone."""


class Builder(Protocol):
    """Makes an app image: base + dependencies + code, without the model. `assemble`, `docker`."""

    def build(self, source: Source, image: "ImageSettings", registry: Registry) -> Image:
        """The app image of a commit: its layers in the registry, and its config there or at hand; without a tag.

        Raises BuildFailed, Unreachable.
        """


class Target(Protocol):
    """What runs an image: `process:`, `kubernetes://CONTEXT/NAMESPACE`, `aks://…`."""

    def state(self) -> Versioned[State]:
        """The environment's state; an empty one where nothing was ever released."""

    def record(self, state: Versioned[State]) -> Versioned[State]:
        """Compare-and-swap: store `state.value` where the stored token is still `state.token`, or StateChanged."""

    def snapshot(self) -> Snapshot:
        """What `restore` needs to bring back what runs now; taken and recorded before the first change."""

    def roll_out(self, image: Image, expected: Versioned[State]) -> Iterator[Progress]:
        """Bring the image in and wait for it; ends when only the new one serves.

        Raises StateChanged where the state is no longer `expected` before the first change, ReleaseFailed.
        """

    def preview(self, image: Image) -> list[str]:
        """What `roll_out` would change, a line each; nothing is changed. Raises ReleaseFailed where it would fail."""

    def finish(self, image: Image) -> Iterator[Progress]:
        """Remove what is not needed any more, once the image has verified; idempotent, and never undone."""

    def running(self) -> Running:
        """What runs now, as the platform says, and the address that users use."""

    def log(self, lines: int = 50) -> str:
        """The last lines that the app printed; "" where there are none."""

    def restore(self, snapshot: Snapshot, expected: Versioned[State]) -> Iterator[Progress]:
        """Back to the snapshot, idempotent; an empty snapshot means: nothing runs."""
