"""A registry in a folder: an OCI image layout (image-spec, image-layout.md) that skopeo and its like read.

Beside what the specification names there are `.lock` and `.uploads/`. The lock is held for moments only: to change
index.json, to give a finished blob its name, to renew a blob's time, to collect garbage; never while bytes pass.
"""

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from tandem.errors import DigestMismatch, NotInRegistry, RegistryError
from tandem.manifests import DOCKER_INDEX, INDEX, LIMIT, Index, digest_of, is_digest, manifest_bytes, parse
from tandem.records import Blob, Descriptor, ImageManifest
from tandem.registries import entries, garbage
from tandem.registries.disk import keep, locked, told, upload, write_all
from tandem.registries.folder import Folder


class LayoutRegistry:
    """`oci:folder`: see Registry in tandem/seams.py. The folder is made by the first write."""

    def __init__(self, url: str, path: Path, clock: Callable[[], float] = time.time) -> None:
        self.folder = Folder(url, path)
        self.clock = clock

    def __str__(self) -> str:
        return self.folder.url

    def resolve(self, reference: str) -> Descriptor | None:
        """The descriptor of a listed image manifest or index, or None."""
        index = self.folder.index()
        if is_digest(reference):
            found = next((entry for entry in self._listed(index) if entry.digest == reference), None)
        else:
            found = entries.tagged(index, reference)
        return found and Descriptor(found.media_type, found.digest, found.size)

    def manifest(self, digest: str) -> bytes:
        """The bytes of a listed image manifest or index, checked."""
        found = self.resolve(digest) if is_digest(digest) else None
        if found is None:
            raise NotInRegistry(f"{self}: no image {digest}: it was pruned, or never pushed here")
        return self.folder.small(found)

    def read(self, digest: str, offset: int = 0) -> Iterator[bytes]:
        """A blob's bytes from an offset on, in pieces of 1 MiB; checked when read from 0."""
        return self.folder.read(digest, offset)

    def tags(self) -> list[str]:
        """Every tag."""
        return entries.tags(self.folder.index())

    def referrers(self, digest: str, kind: str) -> list[Descriptor]:
        """The referrers of an image, with artifact type and annotations."""
        found = (entry for entry in self.folder.index().manifests if garbage.subject(self.folder, entry) == digest)
        return [entry for entry in found if entry.artifact_type == kind]

    def write(self, blob: Blob, media_type: str) -> Descriptor:
        """Stream a blob into the folder; where it is there, its time is renewed and nothing read."""
        with told(self, "making the image layout"):
            self.folder.create()
        if blob.sha256 and self._renewed(f"sha256:{blob.sha256}", blob.size):
            return Descriptor(media_type, f"sha256:{blob.sha256}", blob.size)
        doing = f"writing blob {blob.name} ({blob.size} bytes)"
        with told(self, doing), upload(self.folder.path) as file:
            passed, size = hashlib.sha256(), 0
            for piece in blob.open(0):
                passed.update(piece)
                size += len(piece)
                write_all(file, piece)
            found = passed.hexdigest()
            if size != blob.size or found != (blob.sha256 or found):
                said = f"{blob.size} bytes of sha256:{blob.sha256 or '?'}"
                raise DigestMismatch(f"{self}: {blob.name} gave {size} bytes of sha256:{found}, not {said}")
            with locked(self.folder.path):
                keep(file, self.folder.blob(f"sha256:{found}"))
        return Descriptor(media_type, f"sha256:{found}", size)

    def put(self, manifest: ImageManifest, tag: str | None = None) -> Descriptor:
        """List an image manifest whose blobs are all there, under `tag` if there is one."""
        if tag is not None and is_digest(tag):
            raise RegistryError(f"{self}: {tag} is a digest: tag an image with a name")
        content = manifest_bytes(manifest)
        if len(content) > LIMIT:
            raise RegistryError(f"{self}: an image manifest of {len(content)} bytes: {LIMIT} are allowed")
        bare = Descriptor(manifest.media_type, digest_of(content), len(content))
        with told(self, f"writing image manifest {bare.digest}"):
            self.folder.create()
            with upload(self.folder.path) as file:
                write_all(file, content)
                with locked(self.folder.path):
                    self._list(manifest, bare, tag, lambda: keep(file, self.folder.blob(bare.digest)))
        return bare

    def delete(self, digest: str) -> None:
        """Remove an image with its tags and referrers, and what is garbage then; see garbage.py."""
        self.folder.blob(digest)
        if not self.folder.exists():
            return
        with told(self, f"deleting {digest}"), locked(self.folder.path):
            before = self.folder.index()
            doomed = garbage.with_referrers(self.folder, before, digest)
            after = entries.without(before, doomed)
            after = entries.without(after, garbage.forgotten(self.folder, after, self.clock()))
            if after != before:
                self.folder.store(after)
            garbage.collect(self.folder, after, doomed, self.clock())

    def _list(self, manifest: ImageManifest, bare: Descriptor, tag: str | None, keep_it: Callable[[], None]) -> None:
        for part in (manifest.config, *manifest.layers):
            path = self.folder.blob(part.digest)
            if not path.is_file() or path.stat().st_size != part.size:
                here = f"{path.stat().st_size} bytes are there" if path.is_file() else "it is not there"
                wanted = f"blob {part.digest} of {part.size} bytes"
                raise RegistryError(f"{self}: image manifest {bare.digest} needs {wanted}, and {here}: write it first")
        keep_it()
        before = self.folder.index()
        after = entries.with_manifest(before, bare, manifest, tag)
        if after != before:
            self.folder.store(after)

    def _renewed(self, digest: str, size: int) -> bool:
        path = self.folder.blob(digest)
        with told(self, f"renewing {digest}"), locked(self.folder.path), suppress(FileNotFoundError):
            if path.stat().st_size == size:
                os.utime(path)
                return True
        return False

    def _listed(self, index: Index) -> Iterator[Descriptor]:
        """The entries, and the images of each platform below them."""
        for entry in index.manifests:
            yield entry
            if entry.media_type in {INDEX, DOCKER_INDEX}:
                below = parse(self.folder.small(entry), f"{self} {entry.digest}")
                yield from self._listed(below) if isinstance(below, Index) else ()
