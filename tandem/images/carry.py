"""Carries a model onto an app image, inside the registry: the builder never sees it, and known weights never travel.

One layer for each large file, small files together. A layer's tar does not depend on those under it, and what it
is called is known, by the files in it, before a byte has moved: from an annotation in the image manifests of earlier
candidates, or from the model manifest, where its publisher said it. Then nothing is hashed here: the registry compares.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from threading import Event

from tandem.documents import canonical
from tandem.errors import DigestMismatch
from tandem.image_config import ImageConfig, config_bytes, config_of
from tandem.images.early import AHEAD, early
from tandem.images.layers import MEDIA_TYPE, Entry, layer_blob
from tandem.images.passing import Passing, Unhashed
from tandem.manifests import CONFIG, as_oci, blob_of
from tandem.records import Blob, Descriptor, Image, ImageManifest, Model
from tandem.seams import Registry

FILES = "dev.tandem.files"
LARGE = 8 * 1024 * 1024  # bytes from which a file has a layer of its own
PACK = 32 * 1024 * 1024  # bytes of small files in one layer, at most
SIDE_BY_SIDE = 4  # layers on their way at once: memory is this many times a few pieces


@dataclass(frozen=True)
class ModelLayers:
    """A model's layers, in the registry: `reused` were there, `carried` travelled, in bytes of their descriptors.

    `learned` is the SHA-256 of each file that had none and travelled, by its name: evidence for the candidate.
    """

    model: Model
    path: str
    layers: tuple[Descriptor, ...]
    reused: tuple[Descriptor, ...]
    carried: tuple[Descriptor, ...]
    learned: Mapping[str, str] = field(default_factory=dict)


def remember(manifests: Iterable[ImageManifest]) -> Mapping[str, Descriptor]:
    """What earlier candidates' model layers are called, by the key of the files in them."""
    return {
        layer.annotations[FILES]: layer
        for manifest in manifests
        for layer in manifest.layers
        if FILES in layer.annotations
    }


def named(files: Sequence[Blob], path: str) -> Mapping[str, str]:
    """What the layers that hold these hashed files below `path` are called (SHA-256, hex), by the key of their files.

    For the model manifest of who publishes them; reads each file once. Raises ModelDamaged, BuildFailed.
    """
    found = {}
    for pack in packed(files):
        digest = hashlib.sha256()
        for piece in layer_blob(_entries(pack, path)).open(0):
            digest.update(piece)
        found[_key(pack, path)] = digest.hexdigest()
    return found


def carry_layers(model: Model, path: str, registry: Registry, remembered: Mapping[str, Descriptor]) -> ModelLayers:
    """The model's files as layers in the registry, below `path` in the image; known ones cost one question each.

    Raises ModelDamaged where bytes are not those of the model manifest, BuildFailed for a name that no layer may
    hold, Unreachable, RegistryError; whatever is on its way then stops, and no image refers to it.
    """
    stopped = Event()
    fetching = ThreadPoolExecutor(SIDE_BY_SIDE * AHEAD, "early")  # its threads begin when there is something to fetch
    loads = [_Load(model, path, early(files, fetching), stopped) for files in packed(model.files)]
    with fetching, ThreadPoolExecutor(min(SIDE_BY_SIDE, len(loads)) or 1, "carry") as pool:
        layers = [pool.submit(load.bring, registry, remembered.get(load.key)) for load in loads]
        try:
            wait(layers, return_when=FIRST_EXCEPTION)
            failed = [layer for layer in layers if layer.done() and layer.exception()]
            found = [layer.result() for layer in failed or layers]
        finally:
            stopped.set()
            pool.shutdown(cancel_futures=True)
            fetching.shutdown(cancel_futures=True)
    travelled = [load.travelled for load in loads]
    return ModelLayers(
        model,
        path,
        tuple(found),
        tuple(layer for layer, went in zip(found, travelled, strict=True) if not went),
        tuple(layer for layer, went in zip(found, travelled, strict=True) if went),
        {name: sha256 for load in loads for name, sha256 in load.learned()},
    )


def put_on(
    image: Image,
    model: ModelLayers,
    annotations: Mapping[str, str],
    created: datetime,
    env: Mapping[str, str] | None = None,
) -> Image:
    """The app image with the model's layers on top, in the same registry, without a tag.

    `created` is the commit's time: nothing in the image comes from a clock. `env` are variables for the app, where it
    does not set them itself. Raises RegistryError, Unreachable.
    """
    config, time = config_of(image), created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    said = {"created": time, "created_by": f"tandem: model {model.model.name} {model.model.version} at {model.path}"}
    config = replace(
        config,
        created=time,
        diff_ids=(*config.diff_ids, *(layer.digest for layer in model.layers)),
        history=(*config.history, *(said for _ in model.layers)),
        labels={
            **config.labels,
            **annotations,  # a node names what runs by its config: two image manifests must not share one
            "dev.tandem.model.name": model.model.name,
            "dev.tandem.model.version": model.model.version,
            "dev.tandem.model.path": model.path,
            "dev.tandem.env": json.dumps(_with(config, env), sort_keys=True),
        },
        env={**(env or {}), **config.env},
    )
    content = config_bytes(config)
    manifest = ImageManifest(
        config=image.registry.write(blob_of(content, "config.json"), CONFIG),
        layers=(*map(as_oci, image.manifest.layers), *model.layers),
        annotations={**image.manifest.annotations, **annotations},
    )
    return Image(image.registry, image.registry.put(manifest).digest, manifest, image.lock, content)


def _with(config: ImageConfig, env: Mapping[str, str] | None) -> dict[str, str]:
    """The variables for `process:`, with those that the app does not set itself."""
    return {**(env or {}), **json.loads(config.labels.get("dev.tandem.env", "{}"))}


def packed(files: Sequence[Blob]) -> list[tuple[Blob, ...]]:
    """Which files share a layer: the same for the same files, in whatever order they come."""
    by_name = sorted(files, key=lambda file: file.name)
    packs: list[list[Blob]] = [[file] for file in by_name if file.size >= LARGE]
    pack, room = list[Blob](), 0
    for file in (file for file in by_name if file.size < LARGE):
        if file.size > room or not pack:
            pack, room = [], PACK
            packs.append(pack)
        pack.append(file)
        room -= file.size
    return sorted(map(tuple, packs), key=lambda pack: pack[0].name)


def _entries(files: Sequence[Blob], path: str) -> Iterator[Entry]:
    return (Entry(f"{path.strip('/')}/{file.name}", file) for file in files)


def _key(files: Sequence[Blob], path: str, version: str = "") -> str:
    """A file without a hash is known by its model's version, which holds its size and its ETag or time of change."""
    named = [[file.sha256 or f"in {version}", f"{path.strip('/')}/{file.name}", "0644"] for file in files]
    return hashlib.sha256(canonical(["tar 1", *sorted(named)])).hexdigest()


class _Load:
    """One layer on its way, and what was seen of its files meanwhile."""

    def __init__(self, model: Model, path: str, files: Sequence[Blob], stopped: Event) -> None:
        self.model, self.path, self.files, self.stopped = model, path, files, stopped
        self.key = _key(files, path, model.version)
        self.of = f"model {model.name} {model.version[:12]}"
        self.passing: list[Passing] = []
        self.travelled = False

    def bring(self, registry: Registry, known: Descriptor | None) -> Descriptor:
        published = self.model.facts.layers.get(self.key)
        if digest := known.digest.removeprefix("sha256:") if known else published:
            with suppress(DigestMismatch):  # the bytes in the store, or that name: their own hashes tell
                return self._write(registry, digest)
        return self._write(registry, None)

    def learned(self) -> Iterator[tuple[str, str]]:
        return ((file.blob.name, file.sha256) for file in self.passing if self.travelled and file.blob.sha256 is None)

    def _write(self, registry: Registry, digest: str | None) -> Descriptor:
        compared = digest and all(file.sha256 for file in self.files)
        new_hash = Unhashed if compared else hashlib.sha256
        self.passing = [Passing(file, self.of, self.stopped, new_hash) for file in self.files]
        layer = layer_blob(
            _entries([replace(file.blob, open=file.open) for file in self.passing], self.path),
            f"{self.of}: {self.files[0].name}" + (f" and {len(self.files) - 1} more" if self.files[1:] else ""),
        )
        written = registry.write(replace(layer, sha256=digest, open=partial(self._open, layer)), MEDIA_TYPE)
        if self.travelled:
            for file in self.passing:  # again, since an upload that was resumed may have left out a file's end
                file.check()
        return replace(written, annotations={FILES: self.key})

    def _open(self, layer: Blob, offset: int) -> Iterator[bytes]:
        self.travelled = True
        return layer.open(offset)
