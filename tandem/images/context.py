"""A build's context: the files of a commit, as the tar that a Docker daemon takes, streamed.

Only what the commit holds goes in, whatever a test suite wrote into the folder, less what .dockerignore excludes.
"""

import os
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from tandem.errors import BuildFailed
from tandem.images import dockerignore
from tandem.images.files import NEVER, content_of, listing
from tandem.images.layers import SOURCE_DATE
from tandem.records import Source

BLOCK = 512


def context(source: Source, dockerfile: str) -> Iterator[bytes]:
    """The tar in pieces. The Dockerfile and .dockerignore always ride, as docker's own client sends them: the daemon
    reads them, and leaves them out of COPY where .dockerignore says so.

    Raises BuildFailed where a file cannot be sent, or changed while it was.
    """
    folder = Path(source.folder)
    name, ignored = _ignored(folder, dockerfile)
    folders: set[str] = set()
    for path in sorted({dockerfile, name, *listing(source)}):
        needed = path in (dockerfile, name)
        if not NEVER.isdisjoint(path.split("/")) or (ignored.excludes(path) and not needed):
            continue
        if path == name and not (folder / path).is_file():
            continue
        for parent in reversed(PurePosixPath(path).parents[:-1]):
            if str(parent) not in folders:
                folders.add(str(parent))
                yield _header(tarfile.TarInfo(str(parent)), tarfile.DIRTYPE, 0o755)
        yield from _member(folder, path)
    yield bytes(2 * BLOCK)


def _ignored(folder: Path, dockerfile: str) -> tuple[str, dockerignore.Dockerignore]:
    """The ignore file that counts, as BuildKit chooses it: `Dockerfile.dockerignore`, else .dockerignore."""
    own = f"{dockerfile}.dockerignore"
    name = own if (folder / own).is_file() else ".dockerignore"
    file = folder / name
    try:
        text = file.read_text(encoding="utf-8") if file.is_file() else ""
    except UnicodeDecodeError:
        raise BuildFailed(f"{name} is not UTF-8: save it as UTF-8") from None
    return name, dockerignore.parse(text, name)


def _member(folder: Path, path: str) -> Iterator[bytes]:
    file = folder / path
    try:
        status = file.lstat()
        if not Path(os.path.realpath(file.parent)).is_relative_to(os.path.realpath(folder)):
            raise BuildFailed(f"{path}: below a link that leads out of the repository: was it changed meanwhile?")
        info = tarfile.TarInfo(path)
        if file.is_symlink():
            info.linkname = str(file.readlink())
            yield _header(info, tarfile.SYMTYPE, 0o777)
            return
        if not file.is_file():
            raise BuildFailed(f"{path}: neither a file nor a link: exclude it in .dockerignore")
        info.size = status.st_size
        yield _header(info, tarfile.REGTYPE, 0o755 if status.st_mode & 0o100 else 0o644)
        left = info.size
        for piece in content_of(file, path).open(0):
            left -= len(piece)
            if left < 0:
                break
            yield piece
    except FileNotFoundError:
        raise BuildFailed(f"{path}: in the commit, but not in its checkout: something removed it meanwhile") from None
    if left:
        raise BuildFailed(f"{path}: changed while it was sent to the Docker daemon: build again")
    yield bytes(-info.size % BLOCK)


def _header(info: tarfile.TarInfo, kind: bytes, mode: int) -> bytes:
    info.type, info.mode, info.mtime = kind, mode, SOURCE_DATE
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
