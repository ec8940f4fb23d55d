"""The files of an OCI image layout (image-spec, image-layout.md): which there are, and what they hold."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tandem.documents import canonical
from tandem.errors import DigestMismatch, NotInRegistry, RegistryError
from tandem.manifests import INDEX, LIMIT, Index, check, descriptor_json, is_digest, parse
from tandem.records import Descriptor
from tandem.registries.disk import locked, replace_file

LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
NAMES = {"oci-layout", "index.json", "blobs", ".lock", ".uploads"}
PIECE = 1024 * 1024


@dataclass(frozen=True)
class Folder:
    """An image layout at `path`; `url` is its name in messages."""

    url: str
    path: Path

    def __str__(self) -> str:
        return self.url

    def exists(self) -> bool:
        """Whether there is an image layout; one that died while it was made is none yet."""
        return (self.path / "oci-layout").exists()

    def create(self) -> None:
        """Make an empty image layout where there is none. RegistryError where the folder holds something else."""
        if self.exists():
            return
        if self.path.is_dir() and (strangers := {file.name for file in self.path.iterdir()} - NAMES):
            raise RegistryError(f"{self}: {self.path} holds {min(strangers)} and is no image layout: name a new folder")
        for part in ("blobs/sha256", ".uploads"):
            (self.path / part).mkdir(parents=True, exist_ok=True)
        with locked(self.path):
            if not self.exists():
                self.store(Index(()))
                replace_file(self.path, "oci-layout", LAYOUT)

    def index(self) -> Index:
        """index.json; an empty one where there is no image layout yet."""
        if not self.exists():
            return Index(())
        file = self.path / "index.json"
        try:
            parsed = parse(file.read_bytes(), file)
        except (OSError, RegistryError) as error:
            raise RegistryError(f"{self}: {error}: restore index.json, or remove the folder and build again") from None
        if not isinstance(parsed, Index):
            raise RegistryError(f"{self}: {file} is no image index: restore it, or remove the folder and build again")
        return parsed

    def store(self, index: Index) -> None:
        """Replace index.json; the folder's lock must be held."""
        document: dict[str, object] = {
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": [descriptor_json(entry) for entry in index.manifests],
        }
        if index.annotations:
            document["annotations"] = dict(index.annotations)
        replace_file(self.path, "index.json", canonical(document))

    def blob(self, digest: str) -> Path:
        """Where a blob stands, or would stand."""
        if not is_digest(digest):
            raise RegistryError(f"{self}: {digest!r} is no digest: sha256: and 64 hex digits")
        return self.path / "blobs" / "sha256" / digest.removeprefix("sha256:")

    def small(self, descriptor: Descriptor) -> bytes:
        """An image manifest's or index's bytes, checked. Raises NotInRegistry, DigestMismatch, RegistryError."""
        if descriptor.size > LIMIT:
            raise RegistryError(f"{self}: {descriptor.digest} has {descriptor.size} bytes, {LIMIT} are allowed")
        return check(b"".join(self.read(descriptor.digest)), descriptor.digest, self)

    def read(self, digest: str, offset: int = 0) -> Iterator[bytes]:
        """A blob's bytes from an offset on, in pieces of 1 MiB; checked where all of them pass."""
        path = self.blob(digest)
        if not path.is_file():
            raise NotInRegistry(f"{self}: no blob {digest}: push the image that needs it again")
        return self._pieces(path, digest, offset)

    def _pieces(self, path: Path, digest: str, offset: int) -> Iterator[bytes]:
        passed = hashlib.sha256()
        with path.open("rb", buffering=0) as file:
            file.seek(offset)
            while piece := file.read(PIECE):
                if not offset:
                    passed.update(piece)
                yield piece
        if not offset and f"sha256:{passed.hexdigest()}" != digest:
            raise DigestMismatch(f"{self}: blob {digest} is damaged on the disk: remove {path} and build again")
