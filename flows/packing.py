"""What goes into a suite's container, and what comes out of it: tars, as Docker takes and gives them."""

import io
import shutil
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

from docker.errors import NotFound
from docker.models.containers import Container

from tandem.images.interpreter import Inhabitant

PLACE = "/tandem"
SOURCE, PACKAGES, HOME, TEMPORARY, OUT = (f"{PLACE}/{name}" for name in ("src", "packages", "home", "tmp", "out"))
MODULES = f"{PACKAGES}/modules"
# What the scripts of packages find beside them: the image's own, whose name decides which packages it sees.
PYTHON = '#!/bin/sh\nexec {path} "$@"\n'


def pack(tar: tarfile.TarFile, source: Path, user: int) -> None:
    """The commit's files and empty scratch folders, all of them this user's."""
    tar.addfile(_owned(0)(_folder(PLACE)))
    for path in (HOME, TEMPORARY, OUT):
        tar.addfile(_owned(user)(_folder(path)))
    tar.add(source, SOURCE, filter=_owned(user))


def pack_packages(tar: tarfile.TarFile, packages: Path, python: Inhabitant) -> None:
    """The packages, to be read by everybody."""
    modules = packages / "lib" / f"python{python.interpreter.minor}" / "site-packages"
    tar.add(packages, PACKAGES, filter=_owned(0))
    link = tarfile.TarInfo(MODULES)
    link.type, link.linkname = tarfile.SYMTYPE, f"{PACKAGES}/{modules.relative_to(packages)}"
    tar.addfile(link)
    content = PYTHON.format(path=python.path).encode()
    script = tarfile.TarInfo(f"{PACKAGES}/bin/python")
    script.mode, script.size = 0o755, len(content)
    tar.addfile(script, io.BytesIO(content))


def taken(container: Container, path: str, file: Path, limit: int) -> Path:
    """`file`, written where the container holds a plain file there, of at most `limit` bytes."""
    try:
        pieces, about = container.get_archive(path)
    except NotFound:
        return file
    if about is None or about["size"] > limit:
        return file
    with tempfile.TemporaryFile(dir=file.parent) as packed, file.open("wb") as written:
        for piece in pieces:
            packed.write(piece)
        packed.seek(0)
        with tarfile.open(fileobj=packed) as tar:
            entry = tar.next()
            if entry and entry.isfile() and (content := tar.extractfile(entry)):
                shutil.copyfileobj(content, written)
    return file


def _folder(path: str) -> tarfile.TarInfo:
    folder = tarfile.TarInfo(path)
    folder.type, folder.mode = tarfile.DIRTYPE, 0o755
    return folder


def _owned(user: int) -> Callable[[tarfile.TarInfo], tarfile.TarInfo]:
    """Gives an entry to a user, who may write there; everybody may read, whatever the umask here."""

    def owned(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid, entry.gid, entry.uname, entry.gname = user, 0, "", ""
        entry.mode |= 0o755 if entry.isdir() else 0o644
        if entry.mode & 0o100:
            entry.mode |= 0o055
        return entry

    return owned
