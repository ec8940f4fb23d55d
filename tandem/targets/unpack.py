"""An image made into a bundle: a folder that `process:` can start, whole or not there at all."""

import errno
import fcntl
import json
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tandem.errors import RegistryError, ReleaseFailed, Unreachable
from tandem.image_config import ImageConfig, config_of
from tandem.records import Image
from tandem.targets.overlay import add_interpreter, apply, stay_inside
from tandem.targets.trees import layer_tree


@dataclass(frozen=True)
class Bundle:
    """An unpacked image: `root` holds /venv, /app and the model as the image does; the rest is as its labels say."""

    digest: str
    root: Path
    command: tuple[str, ...]
    env: Mapping[str, str]
    workdir: str
    model: str
    port: int


def unpack(image: Image, images: Path, cache: Path) -> Bundle:
    """The image's bundle in `images`/<digest12>, made where it is not there yet.

    Its files are hard links to the trees of its layers in `cache`: what two images share is on disk once.
    Raises ReleaseFailed: by the candidate's fault for hostile layers, else by the environment's.
    """
    final = images / image.digest.removeprefix("sha256:")[:12]
    if found := unpacked(final, image.digest):
        return found
    try:
        config = config_of(image)
        _fits(image, config)
        document = _document(image, config)
        with _alone(images), _using(cache), tempfile.TemporaryDirectory(prefix=".new-", dir=images) as name:
            new = Path(name) / "bundle"
            root = new / "root"
            root.mkdir(parents=True)
            for layer in image.manifest.layers:
                apply(layer_tree(image.registry, layer, cache), root)
            stay_inside(root)
            add_interpreter(root)
            (root / document["workdir"].lstrip("/")).mkdir(parents=True, exist_ok=True)
            (new / "image.json").write_text(
                json.dumps(document | {"layers": [x.digest for x in image.manifest.layers]})
            )
            if final.exists():
                final.rename(Path(name) / "another")
            new.rename(final)
    except (RegistryError, Unreachable) as error:
        raise ReleaseFailed(f"{image} could not be fetched: {error}", "environment") from error
    except OSError as error:
        raise ReleaseFailed(_trouble(error, images), "environment") from error
    return _bundle(final, document)


def unpacked(folder: Path, digest: str) -> Bundle | None:
    """The bundle that a folder holds whole, or None."""
    try:
        document: dict[str, Any] = json.loads((folder / "image.json").read_text())
    except (FileNotFoundError, ValueError):
        return None
    return _bundle(folder, document) if document["digest"] == digest else None


def _bundle(folder: Path, document: Mapping[str, Any]) -> Bundle:
    return Bundle(
        document["digest"],
        folder / "root",
        tuple(document["command"]),
        document["env"],
        document["workdir"],
        document["model"],
        document["port"],
    )


def interpreter_tag() -> str:
    """This interpreter as images with base "none" name theirs: `cpython-3.11-linux-x86_64`."""
    major, minor = sys.version_info[:2]
    return f"{sys.implementation.name}-{major}.{minor}-{sys.platform}-{platform.machine()}"


def _fits(image: Image, config: ImageConfig) -> None:
    base, _, tag = config.labels.get("dev.tandem.base", "").partition(" ")
    if base != "none":
        raise ReleaseFailed(
            f"{image} stands on a base image ({base or 'unknown'}) and brings its own system; process: runs only "
            'images made with [image] base = "none": integrate with that, or release to docker: on this machine',
            "environment",
        )
    if tag != interpreter_tag():
        raise ReleaseFailed(
            f"{image} was made for {tag}, this Tandem runs on {interpreter_tag()}: integrate the commit again here, "
            "or run Tandem on that Python",
            "environment",
        )


def _document(image: Image, config: ImageConfig) -> dict[str, Any]:
    labels = config.labels
    if ".." in config.workdir.split("/"):
        raise ReleaseFailed(f"{image}: its working directory {config.workdir!r} leads out of it", "candidate")
    try:
        return {
            "digest": image.digest,
            "command": [str(word) for word in json.loads(labels["dev.tandem.command"])],
            "env": {str(k): str(v) for k, v in json.loads(labels.get("dev.tandem.env", "{}")).items()},
            "workdir": config.workdir or "/",
            "model": labels.get("dev.tandem.model.path", "/model"),
            "port": int(labels.get("dev.tandem.port", "8000")),
        }
    except (KeyError, ValueError, AttributeError, TypeError) as error:
        raise ReleaseFailed(f"{image}: its labels do not say how it is started: {error!r}", "candidate") from None


def _trouble(error: OSError, folder: Path) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"no room on the disk to unpack the image in {folder}: free some, or remove old images with 'tandem prune'"
        )
    return f"the image could not be unpacked in {folder}: {error}"


@contextmanager
def _alone(images: Path) -> Iterator[None]:
    """One at a time in this folder; so what an earlier one, killed, left half done can go."""
    images.mkdir(parents=True, exist_ok=True)
    with (images / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _clear(images)
        yield


@contextmanager
def _using(cache: Path) -> Iterator[None]:
    """Keep `sweep` away from the cache meanwhile; clear what was left half done, where nobody else is at work."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / ".lock").open("a") as lock:
        with suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _clear(cache)
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield


def _clear(folder: Path) -> None:
    for half in folder.glob(".new-*"):
        shutil.rmtree(half, ignore_errors=True)


def sweep(cache: Path, needed: set[str]) -> list[str]:
    """Remove the trees of the layers whose digests are not `needed`; gives those removed. Bundles keep their files.

    Nothing is removed while an image is being unpacked: the next sweep will.
    """
    if not cache.is_dir():
        return []
    with (cache / ".lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return []
        _clear(cache)
        removed = [f"sha256:{folder.name}" for folder in cache.iterdir() if folder.is_dir()]
        removed = [digest for digest in removed if digest not in needed]
        for digest in removed:
            shutil.rmtree(cache / digest.removeprefix("sha256:"))
    return removed
