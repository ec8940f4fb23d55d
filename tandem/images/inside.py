"""What a base image holds that wheels must fit: its Python and its C library, found without running anything."""

import io
import posixpath
import re
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tandem.errors import BuildFailed
from tandem.image_config import ImageConfig
from tandem.records import Descriptor, Image

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer as Buffer

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # runtimes' default, where a config has none
PYTHON = re.compile(r"python3(?:\.\d+)?")
HOLDS_VERSION = re.compile(r"(?:python3(?:\.(\d+))?|libpython3\.(\d+)\.so\.1\.0)")
LIBC = re.compile(r"(?:usr/)?lib(?:64)?/(?:[^/]+/)?libc\.so\.6")
GLIBC_NAMED = re.compile(r"libc-2\.(\d+)\.so")
GLIBC = re.compile(rb"GNU C Library [^\n]{0,80}version 2\.(\d+)")
MUSL = re.compile(r"lib/ld-musl-[a-z0-9_]+\.so\.1")
PIECE = 1 << 20
OVERLAP = 200


@dataclass(frozen=True)
class Inside:
    """`python` is the interpreter's own path, links followed; `version` whole, or X.Y.0 where it does not say."""

    python: str
    version: str
    libc: tuple[str, int, int]


@dataclass
class _Seen:
    """Paths of interest in the layers so far: links by their target ("" for a file), and what files said."""

    links: dict[str, str] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)

    def forget(self, path: str) -> None:
        """A whiteout (image-spec, layer.md)."""
        for known in (self.links, self.said):
            for each in [each for each in known if each == path or each.startswith(f"{path}/")]:
                del known[each]


def look_inside(image: Image, config: ImageConfig) -> Inside:
    """Read the layers, streaming, bottom to top. Raises BuildFailed where there is no Python 3 or no known libc."""
    seen = _Seen()
    for layer in image.manifest.layers:
        try:
            _read_layer(image, layer, seen)
        except (tarfile.TarError, zlib.error, EOFError) as error:
            raise BuildFailed(f"{image}: layer {layer.digest} is no tar that can be read: {error}") from None
    folders = [folder.strip("/") for folder in config.env.get("PATH", PATH).split(":") if folder.strip("/")]
    python = _find_python(seen, folders)
    if python is None:
        raise BuildFailed(f"{image}: no python3 in {', '.join(folders)}: choose a base that has one")
    if not (libc := _libc(seen)):
        raise BuildFailed(f"{image}: no C library that is known (glibc, musl), so no wheel is known to run there")
    if not (version := _version(seen, python, config.env.get("PYTHON_VERSION", ""))):
        raise BuildFailed(f"{image}: /{python} does not say which Python it is: choose a base with python3.X")
    return Inside(f"/{python}", version, libc)


def _version(seen: _Seen, python: str, named: str) -> str:
    """The whole version: as the config names it (Docker's official images do), the binary or its library say it."""
    numbered = re.fullmatch(r"python(3\.\d+)", posixpath.basename(python))
    minor = f"{numbered[1]}." if numbered else "3."
    if numbered and re.fullmatch(rf"{re.escape(minor)}\d+", named):
        return named
    said = {path: version for path, version in seen.said.items() if version.startswith(minor)}
    shared = [version for path, version in said.items() if "libpython" in path]
    return said.get(python) or next(iter(shared), f"{minor}0" if numbered else "")


def _read_layer(image: Image, layer: Descriptor, seen: _Seen) -> None:
    if layer.media_type.endswith("zstd"):
        raise BuildFailed(f"{image}: layer {layer.digest} is packed by zstd: push the base with gzip, or uncompressed")
    above, gone = _Seen(), list[str]()
    content = io.BufferedReader(_Stream(image.registry.read(layer.digest)), PIECE)
    with tarfile.open(fileobj=content, mode="r|*") as tar:
        for member in tar:
            path = posixpath.normpath(member.name).lstrip("/")
            folder, name = posixpath.split(path)
            if name == ".wh..wh..opq":
                gone.append(folder)
            elif name.startswith(".wh."):
                gone.append(posixpath.join(folder, name.removeprefix(".wh.")))
            elif member.issym() or member.islnk():
                _note_link(above, path, member)
            elif member.isfile():
                _note_file(above, path, tar, member)
    while content.read(PIECE):
        pass  # to the end, which is where the registry compares the digest
    for path in (*gone, *above.links):
        seen.forget(path)
    seen.links |= above.links
    seen.said |= above.said


def _note_link(seen: _Seen, path: str, member: tarfile.TarInfo) -> None:
    target = f"/{member.linkname}" if member.islnk() else member.linkname
    name = posixpath.basename(path)
    if PYTHON.fullmatch(name) or LIBC.fullmatch(path) or MUSL.fullmatch(path) or "/" not in path:
        seen.links[path] = posixpath.normpath(posixpath.join("/", posixpath.dirname(path), target)).lstrip("/")


def _note_file(seen: _Seen, path: str, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
    name = posixpath.basename(path)
    if LIBC.fullmatch(path) or MUSL.fullmatch(path):
        seen.links[path] = ""
        seen.said[path] = _search(tar, member, GLIBC)
    elif match := HOLDS_VERSION.fullmatch(name):
        if PYTHON.fullmatch(name):
            seen.links[path] = ""
        minor = (match[1] or match[2] or "").encode() or rb"\d{1,2}"
        if version := _search(tar, member, re.compile(rb"(?<![\d.])(3\.%b\.\d{1,2})\+?\x00" % minor)):
            seen.said[path] = version


def _search(tar: tarfile.TarFile, member: tarfile.TarInfo, pattern: re.Pattern[bytes]) -> str:
    """The pattern's group in a file of the tar, or ""."""
    stream, held = tar.extractfile(member), b""
    while stream and (piece := stream.read(PIECE)):
        if match := pattern.search(held + piece):
            return match[1].decode()
        held = piece[-OVERLAP:]
    return ""


def _find_python(seen: _Seen, folders: list[str]) -> str | None:
    """The first python3 of PATH, or else the newest python3.X there; as the path where its links end."""
    for folder in folders:
        names = [posixpath.basename(path) for path in seen.links if posixpath.dirname(path) == folder]
        found = [name for name in names if PYTHON.fullmatch(name)]
        if found:
            best = max(found, key=lambda name: (name == "python3", int(name.partition(".")[2] or 0)))
            return _followed(seen, f"{folder}/{best}")
    return None


def _followed(seen: _Seen, path: str) -> str:
    for _ in range(20):
        if not (target := seen.links.get(path)):
            break
        path = target
    return path


def _libc(seen: _Seen) -> tuple[str, int, int] | None:
    for path, target in seen.links.items():
        if LIBC.fullmatch(path):
            named = GLIBC_NAMED.fullmatch(posixpath.basename(target))
            if minor := named[1] if named else seen.said.get(path):
                return ("glibc", 2, int(minor))
    return ("musl", 1, 2) if any(MUSL.fullmatch(path) for path in seen.links) else None


class _Stream(io.RawIOBase):
    """Pieces as a file to read."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.pieces, self.held = pieces, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "Buffer") -> int:
        """Fill the buffer as far as one piece goes; 0 at the end."""
        while not self.held and (piece := next(self.pieces, None)) is not None:
            self.held = memoryview(piece)
        view = memoryview(buffer)
        size = min(len(view), len(self.held))
        view[:size], self.held = self.held[:size], self.held[size:]
        return size
