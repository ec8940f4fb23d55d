"""Layers that are the same bit for bit whatever the clock, the user, the umask or the folder's order.

A layer is an uncompressed tar (image-spec, layer.md): names sorted, every mtime SOURCE_DATE, owner 0:0, modes 0644
or 0755, ustar headers with PAX records only for what ustar cannot say. Its size is known before a byte is read, and
its digest is its diff id.
"""

import itertools
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from tandem.errors import BuildFailed
from tandem.records import Blob

MEDIA_TYPE = "application/vnd.oci.image.layer.v1.tar"
SOURCE_DATE = 315532800  # 1980-01-01, the first day that a zip, and so a wheel, can name
BLOCK = 512
PIECE = 256 * 1024

# A folder's entry overwrites the attributes that the layers below gave it, and leaving it out is worse: what a
# runtime then invents differs from one to the next. These are not 0755 in any distribution.
FOLDER_MODES = {"tmp": 0o1777, "var/tmp": 0o1777, "root": 0o700}
MERGED = {"bin", "sbin", "lib", "lib32", "lib64", "libx32"}  # links into usr/ in most bases: a folder would hide them


@dataclass(frozen=True)
class Entry:
    """One path of a layer, relative to the image's root: a file (`content`), a symbolic link (`link`), or a folder."""

    path: str
    content: Blob | None = None
    link: str | None = None
    executable: bool = False


def layer_blob(entries: Iterable[Entry], name: str = "layer.tar") -> Blob:
    """The layer that holds these entries and the folders above them, as a Blob of known size and unknown hash.

    Nothing is read until it is opened; opened at any offset, it reads only what lies behind it.
    Raises BuildFailed for a path that may not stand in a layer, and, while it is read, where a file is no longer
    as long as it was.
    """
    segments = [segment for entry in _with_folders(entries) for segment in _segments(entry)]
    segments.append(bytes(2 * BLOCK))
    sizes = [segment.size if isinstance(segment, Blob) else len(segment) for segment in segments]

    def read(offset: int) -> Iterator[bytes]:
        starts = itertools.accumulate(sizes, initial=0)
        for segment, size, start in zip(segments, sizes, starts, strict=False):
            if start + size > offset:
                yield from _read(segment, max(0, offset - start))

    return Blob(name, sum(sizes), None, lambda offset: _joined(read(offset)))


def _with_folders(entries: Iterable[Entry]) -> list[Entry]:
    """The entries and every folder above them, once each, sorted so that a folder stands before what is in it."""
    found: dict[str, Entry] = {}
    for entry in entries:
        _check(entry)
        if entry.path in found and not (_is_folder(entry) and _is_folder(found[entry.path])):
            raise BuildFailed(f"layer: {entry.path} comes twice: two packages or files claim the same path")
        found.setdefault(entry.path, entry)
    for path in list(found):
        for parent in itertools.takewhile(lambda folder: folder != ".", map(str, PurePosixPath(path).parents)):
            if not _is_folder(found.setdefault(parent, Entry(parent))):
                raise BuildFailed(f"layer: {parent} is a file or link, and {path} wants it to be a folder")
    return [found[path] for path in sorted(found, key=lambda path: path.split("/"))]


def _is_folder(entry: Entry) -> bool:
    return entry.content is None and entry.link is None


def _check(entry: Entry) -> None:
    """Refuse what would leave the image's root, be read as a whiteout (layer.md), or hide the base's folders."""
    parts = entry.path.split("/")
    if not all(parts) or not {".", ".."}.isdisjoint(parts) or "\0" in entry.path:
        raise BuildFailed(f"layer: {entry.path!r} is no path below the image's root")
    if any(part.startswith(".wh.") for part in parts):
        raise BuildFailed(f"layer: {entry.path!r}: names that begin with '.wh.' mean deletion in an image: rename it")
    if parts[0] in MERGED:
        raise BuildFailed(f"layer: {entry.path!r}: /{parts[0]} is a link in most bases and would be hidden: use /usr")
    try:
        f"{entry.path}{entry.link or ''}".encode()
    except UnicodeEncodeError:
        raise BuildFailed(f"layer: {entry.path!r} is not UTF-8: rename it") from None


def _segments(entry: Entry) -> list[bytes | Blob]:
    """The header, the content and the padding to whole blocks."""
    info = tarfile.TarInfo(entry.path)
    info.mtime = SOURCE_DATE
    info.mode = 0o755 if entry.executable else 0o644
    if entry.link is not None:
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, entry.link, 0o777
    elif entry.content is None:
        info.type, info.mode = tarfile.DIRTYPE, FOLDER_MODES.get(entry.path, 0o755)
    else:
        info.size = entry.content.size
    header = info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")
    if entry.content is None or not entry.content.size:
        return [header]
    return [header, entry.content, bytes(-entry.content.size % BLOCK)]


def _read(segment: bytes | Blob, offset: int) -> Iterator[bytes]:
    if isinstance(segment, bytes):
        yield segment[offset:]
        return
    left = segment.size - offset
    for piece in segment.open(offset):
        left -= len(piece)
        if left < 0:
            break
        yield piece
    if left:
        more = "more" if left < 0 else "fewer"
        raise BuildFailed(f"{segment.name}: gave {more} than its {segment.size} bytes: it was changed meanwhile")


def _joined(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces of PIECE at least, so that a thousand small files are no thousand small writes."""
    held, length = list[bytes](), 0
    for piece in pieces:
        held.append(piece)
        length += len(piece)
        if length >= PIECE:
            yield b"".join(held)  # one copy, and none of a piece that is long enough alone
            held, length = [], 0
    if held:
        yield b"".join(held)
