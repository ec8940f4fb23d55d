"""A layer's tar as a folder (image-spec, layer.md), kept once under its digest and hard-linked into bundles.

Every entry is hostile until it is written: nothing outside the folder is touched, no link is followed, and nothing
but files, folders and links comes out. A tree that was killed while it grew is never taken for whole.
"""

import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Literal, cast

from tandem.errors import ReleaseFailed
from tandem.records import Descriptor
from tandem.seams import Registry

MODES: dict[str, Literal["r|", "r|gz"]] = {
    "application/vnd.oci.image.layer.v1.tar": "r|",
    "application/vnd.docker.image.rootfs.diff.tar": "r|",
    "application/vnd.oci.image.layer.v1.tar+gzip": "r|gz",
    "application/vnd.docker.image.rootfs.diff.tar.gzip": "r|gz",
}
WHITEOUT, OPAQUE = ".wh.", ".wh..wh..opq"
STAMP = 315532800  # every file's mtime in the cache: one that has another was written to through a link


class _Stream:
    """The pieces of a blob as the file that tarfile reads."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.pieces, self.held = pieces, b""

    def read(self, size: int) -> bytes:
        """At most `size` bytes; none at the end."""
        if not self.held:
            self.held = next(self.pieces, b"")
        piece, self.held = self.held[:size], self.held[size:]
        return piece

    def drain(self) -> None:
        """Read to the end, where the registry compares the digest."""
        for _ in self.pieces:
            pass


def layer_tree(registry: Registry, layer: Descriptor, cache: Path) -> Path:
    """The folder of a layer, `cache`/<sha256>: `tree/` with its files, `whiteouts.json` with what it deletes.

    Raises ReleaseFailed (candidate: an entry that may not be), RegistryError, Unreachable, OSError.
    """
    folder = cache / layer.digest.removeprefix("sha256:")
    if folder.is_dir() and _untouched(folder / "tree"):
        return folder
    mode = MODES.get(layer.media_type)
    if mode is None:
        raise ReleaseFailed(f"layer {layer.digest}: {layer.media_type} cannot be unpacked here", "candidate")
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=cache) as name:
        new = Path(name) / "layer"
        (new / "tree").mkdir(parents=True)
        whiteouts = _extract(registry, layer, mode, new / "tree")
        (new / "whiteouts.json").write_text(json.dumps(whiteouts))
        if folder.is_dir():
            folder.rename(Path(name) / "touched")
        try:
            new.rename(folder)
        except OSError:
            if not folder.is_dir():  # else somebody else unpacked the same bytes meanwhile
                raise
    return folder


def whiteouts(folder: Path) -> list[str]:
    """The paths that a layer's tree deletes from those below it; `path/` means all that is in the folder."""
    return cast("list[str]", json.loads((folder / "whiteouts.json").read_text()))


def _extract(registry: Registry, layer: Descriptor, mode: Literal["r|", "r|gz"], tree: Path) -> list[str]:
    deleted = []
    folders: set[tuple[str, ...]] = {()}  # those that are there, as folders, each below another such
    stream = _Stream(iter(registry.read(layer.digest)))
    try:
        with tarfile.open(fileobj=cast(IO[bytes], stream), mode=mode, bufsize=1 << 20) as tar:
            for member in tar:
                parts = _parts(member.name)
                if parts and parts[-1] == OPAQUE:
                    deleted.append(f"{'/'.join(parts[:-1])}/")
                elif parts and parts[-1].startswith(WHITEOUT):
                    deleted.append("/".join([*parts[:-1], parts[-1].removeprefix(WHITEOUT)]))
                else:
                    _write(tar, member, tree, parts, folders)
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise ReleaseFailed(f"layer {layer.digest}: not a tar that can be unpacked: {error}", "candidate") from None
    except _Hostile as error:
        raise ReleaseFailed(f"layer {layer.digest} was refused: {error}: build the image again", "candidate") from None
    stream.drain()
    return deleted


class _Hostile(Exception):
    """An entry that no honest layer for `process:` holds."""


def _parts(name: str) -> tuple[str, ...]:
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if name.startswith("/") or ".." in parts or "\0" in name:
        raise _Hostile(f"{name!r} leads out of the image")
    return parts


def _write(
    tar: tarfile.TarFile, member: tarfile.TarInfo, tree: Path, parts: tuple[str, ...], folders: set[tuple[str, ...]]
) -> None:
    for depth in range(1, len(parts) + member.isdir()):
        if parts[:depth] not in folders:
            _make_folder(tree.joinpath(*parts[:depth]), member.name)
            folders.add(parts[:depth])
    if member.isdir():
        return
    if parts in folders:
        raise _Hostile(f"{member.name!r} is a folder and something else")
    path = tree.joinpath(*parts)
    path.unlink(missing_ok=True)
    if member.issym():
        path.symlink_to(member.linkname)
    elif member.islnk():
        _hard_link(member, tree, path)
    elif member.isreg() and not member.issparse() and not member.mode & 0o6000:
        _copy(tar, member, path)
    else:
        raise _Hostile(f"{member.name!r} is a device, a pipe, sparse, or runs as another user")


def _make_folder(path: Path, wanted_by: str) -> None:
    try:
        path.mkdir()
    except FileExistsError:
        raise _Hostile(f"{wanted_by!r} lies below {path.name!r}, which is no folder") from None


def _hard_link(member: tarfile.TarInfo, tree: Path, path: Path) -> None:
    target = tree.joinpath(*_parts(member.linkname))
    if not target.resolve().is_relative_to(tree.resolve()) or target.is_symlink() or not target.is_file():
        raise _Hostile(f"{member.name!r} is a hard link to {member.linkname!r}, which is no file of its layer")
    os.link(target, path, follow_symlinks=False)


def _copy(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    source = tar.extractfile(member)
    if source is None:
        raise _Hostile(f"{member.name!r} has no content")
    with source, path.open("xb") as file:
        shutil.copyfileobj(source, file, 1 << 20)
        file.flush()  # before the mtime is set: a write moves it
        os.fchmod(file.fileno(), 0o555 if member.mode & 0o111 else 0o444)
        os.utime(file.fileno(), (STAMP, STAMP))


def _untouched(folder: Path | str) -> bool:
    """Whether no bundle's app has written into a file through its link (root may, whatever the mode)."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if not _untouched(entry.path):
                    return False
            elif not entry.is_symlink() and entry.stat(follow_symlinks=False).st_mtime != STAMP:
                return False
    return True
