"""A store that was published to: versions in publish order, whatever kind of objects lie beneath.

Layout: NAME/latest.json (the pointer), NAME/<version>/manifest.json, NAME/<version>/files/…
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from tandem import documents
from tandem.errors import ModelDamaged, ModelNotFound, Unreachable
from tandem.models.manifest import (
    Listed,
    ManifestFile,
    ModelManifest,
    Pointer,
    manifest_of,
    read_manifest,
    read_pointer,
)
from tandem.models.names import check_model_name
from tandem.models.objects import Objects
from tandem.models.passing import exact, hashed
from tandem.records import Blob, Facts, Model

SHORTEST = 8  # hex digits of a version that a person may type
ATTEMPTS = 100  # each lost compare-and-swap means that another publisher won one


@dataclass(frozen=True)
class PublishedStore:
    """The Store over any Objects; `now` gives the time that a publish is dated with."""

    objects: Objects
    now: Callable[[], datetime]

    def __str__(self) -> str:
        return str(self.objects)

    def versions(self, name: str) -> Iterator[Model]:
        """Newest first in publish order; each model manifest is read when its turn comes."""
        for listed in self._pointer(name).versions:
            yield self._model(name, listed)

    def model(self, name: str, version: str) -> Model:
        """One version by its id or a unique prefix of it; raises ModelNotFound, ModelDamaged, Unreachable."""
        listed = self._pointer(name).versions
        return self._model(name, listed[only(version, [each.version for each in listed], name, str(self))])

    def publish(self, name: str, files: Sequence[Blob], facts: Facts, by: str = "") -> Model:
        """Files, then the model manifest, then the pointer: until that moves, nobody sees any of it.

        What is there already is not written again, so that a repeat carries only what is missing; a file that
        somebody deleted from the store is put back. Raises ModelDamaged, ModelRefused, ModelError, Unreachable.
        """
        check_model_name(name)
        known = [hashed(blob) for blob in files]
        manifest = manifest_of(known, facts)
        folder = f"{name}/{manifest.version}"
        there = {entry.path: entry.size for entry in self.objects.list(f"{folder}/")}
        for blob in known:
            path = f"{folder}/files/{blob.name}"
            if there.get(path) != blob.size:
                self.objects.write(path, exact(blob.open(0), blob.size, blob.sha256, blob.name), blob.size)
        if f"{folder}/manifest.json" not in there:
            self.objects.put(f"{folder}/manifest.json", manifest.content, "")
        return self._model(name, self._point(name, manifest, by))

    def _point(self, name: str, manifest: ModelManifest, by: str) -> Listed:
        mine = Listed(manifest.version, self.now(), by)
        for _ in range(ATTEMPTS):
            stored = self.objects.get(f"{name}/latest.json")
            pointer = read_pointer(stored.value, f"{self}/{name}/latest.json")
            for listed in pointer.versions:
                if listed.version == mine.version:
                    return listed
            moved = Pointer((mine, *pointer.versions))
            if self.objects.put(f"{name}/latest.json", documents.dump(moved), stored.token):
                return mine
        raise Unreachable(f"{self}/{name}/latest.json changed {ATTEMPTS} times while publishing: try again")

    def _pointer(self, name: str) -> Pointer:
        check_model_name(name)
        return read_pointer(self.objects.get(f"{name}/latest.json").value, f"{self}/{name}/latest.json")

    def _model(self, name: str, listed: Listed) -> Model:
        path = f"{name}/{listed.version}/manifest.json"
        content = self.objects.get(path).value
        if content is None:
            raise ModelDamaged(f"{self}/{path} is gone, and latest.json lists it: restore it or publish it again")
        manifest = read_manifest(content, listed.version, f"{self}/{path}")
        files = tuple(self._blob(f"{name}/{listed.version}/files", file) for file in manifest.files)
        return Model(name, listed.version, files, manifest.facts, listed.published, listed.by)

    def _blob(self, folder: str, file: ManifestFile) -> Blob:
        return Blob(file.name, file.size, file.sha256, partial(self._open, f"{folder}/{file.name}", file))

    def _open(self, path: str, file: ManifestFile, offset: int) -> Iterator[bytes]:
        """Its size is compared here; its hash by who takes it, once: it costs a processor 0.8 s a GiB."""
        what = f"{self}/{path} (delete it there and publish the same files again)"
        return exact(self.objects.read(path, offset), file.size - offset, None, what)


def only(version: str, versions: Sequence[str], name: str, where: str) -> int:
    """The index of the one version that begins with `version` (8 hex digits at least); raises ModelNotFound."""
    if len(version) < SHORTEST:
        raise ModelNotFound(f"model version {version!r}: give {SHORTEST} digits of it at least")
    found = [index for index, each in enumerate(versions) if each.startswith(version.lower())]
    if len(found) == 1:
        return found[0]
    if found:
        several = ", ".join(versions[index] for index in found[:5])
        raise ModelNotFound(f"version {version!r} of {name!r} in {where} is one of several: {several}: give more of it")
    newest = f"newest: {versions[0][:12]}" if versions else "publish one with 'tandem publish APP DIRECTORY'"
    raise ModelNotFound(f"no version {version!r} of {name!r} in {where} ({len(versions)} versions; {newest})")
