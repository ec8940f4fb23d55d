"""The app's files of a checked-out commit, as the entries of a layer."""

import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from pathspec import PathSpec

from tandem import run
from tandem.errors import BuildFailed
from tandem.images import dockerignore
from tandem.images.layers import PIECE, Entry
from tandem.records import Blob, Source

log = logging.getLogger("tandem.images")

NEVER = {".git", "__pycache__"}  # git's own, and what an interpreter left behind; submodules have no files here


def app_files(source: Source, patterns: tuple[str, ...], workdir: str) -> list[Entry]:
    """What `[image] files` selects of the commit, at its own path below `workdir`.

    The patterns are written as in a .gitignore, and select: `/app` and `app/**` are a folder with all below it,
    `app` one at any depth, `*.py` every such file, `/run.py` only the one at the top, and `!app/notes.md` takes back;
    the last that matches a path or a folder above it decides. What .dockerignore excludes stays out. Files that the
    commit does not hold are left out too, whatever a test suite wrote meanwhile. Raises BuildFailed where nothing is
    selected, or a name or link is unfit.
    """
    folder = Path(source.folder)
    chosen = PathSpec.from_lines("gitignore", patterns)
    ignored = _dockerignore(folder)
    tracked = [path for path in listing(source) if NEVER.isdisjoint(path.split("/"))]
    selected = [path for path in tracked if chosen.match_file(path) and not ignored.excludes(path)]
    for pattern in patterns:
        alone = PathSpec.from_lines("gitignore", [pattern.removeprefix("!")])
        if not any(map(alone.match_file, tracked)):
            log.warning("[image] files: %r matches no file of commit %s", pattern, source.commit.id[:12])
    if not selected:
        why = f"{len(tracked)} files in the commit, none of them matches (or .dockerignore excludes all that do)"
        raise BuildFailed(f"[image] files = {list(patterns)}: {why}: correct the patterns in app.toml")
    root = PurePosixPath(workdir.strip("/"))
    return [_entry(folder, path, str(root / path)) for path in selected]


def content_of(file: Path, name: str) -> Blob:
    """A file on disk as a Blob; a link in its place is not followed. Its size is that of now."""

    def read(offset: int) -> Iterator[bytes]:
        with os.fdopen(os.open(file, os.O_RDONLY | os.O_NOFOLLOW), "rb", buffering=0) as stream:
            stream.seek(offset)
            while piece := stream.read(PIECE):
                yield piece

    return Blob(name, file.lstat().st_size, None, read)


def listing(source: Source) -> Iterator[str]:
    """The paths of the commit; where the folder is no checkout, those in the folder."""
    folder = Path(source.folder)
    if not (folder / ".git").exists():
        for parent, folders, names in os.walk(folder):
            folders[:] = sorted(set(folders) - NEVER)
            links = [name for name in folders if Path(parent, name).is_symlink()]
            yield from (Path(parent, name).relative_to(folder).as_posix() for name in [*links, *sorted(names)])
        return
    argv = ("git", "-C", source.folder, "ls-tree", "-r", "-z", "--full-tree", source.commit.id)
    environment = os.environ | {"GIT_NO_LAZY_FETCH": "1", "GIT_OPTIONAL_LOCKS": "0"}
    try:
        for line in run.stream(run.Command(argv, environment), b"\0"):
            attributes, _, path = line.partition(b"\t")
            if not attributes.startswith(b"160000 "):  # a submodule
                yield path.decode(errors="surrogateescape")
    except run.Failed as failed:
        raise BuildFailed(f"{folder}: git cannot list commit {source.commit.id}: {failed}") from None


def _dockerignore(folder: Path) -> dockerignore.Dockerignore:
    file = folder / ".dockerignore"
    try:
        return dockerignore.parse(file.read_text(encoding="utf-8")) if file.is_file() else dockerignore.Dockerignore()
    except UnicodeDecodeError:
        raise BuildFailed(f"{file.name} is not UTF-8: save it as UTF-8") from None


def _entry(folder: Path, path: str, name: str) -> Entry:
    """One file or link; refused where its name is hostile, or it reaches out of the checkout."""
    if any(ord(sign) < 32 or ord(sign) == 127 for sign in path):
        raise BuildFailed(f"{path!r}: a name with control characters: rename it, or exclude it in .dockerignore")
    file = folder / path
    try:
        status = file.lstat()
    except FileNotFoundError:
        raise BuildFailed(f"{path}: in the commit, but not in its checkout: something removed it meanwhile") from None
    real, root = os.path.realpath(file), os.path.realpath(folder)
    inside = real == root or real.startswith(root + os.sep)
    if stat.S_ISLNK(status.st_mode):
        target = str(file.readlink())
        lexical = os.path.normpath(PurePosixPath(path).parent / target)
        if not inside or target.startswith("/") or lexical == ".." or lexical.startswith("../"):
            raise BuildFailed(f"{path}: a link to {target}, outside the repository: exclude it in .dockerignore")
        return Entry(name, link=target)
    if not stat.S_ISREG(status.st_mode) or not inside:
        raise BuildFailed(f"{path}: neither a file nor a link of the checkout: exclude it in .dockerignore")
    return Entry(name, content_of(file, path), executable=bool(status.st_mode & stat.S_IXUSR))
