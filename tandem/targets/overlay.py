"""A bundle grows: layer over layer by hard links, then this machine's interpreter; no link is ever followed."""

import errno
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from tandem.errors import ReleaseFailed
from tandem.targets.trees import whiteouts


def apply(layer: Path, root: Path) -> None:
    """Put a layer's tree over what is there: deletions first, then folders and hard links; no link is followed."""
    for path in whiteouts(layer):
        _delete(root, path)
    _lay(str(layer / "tree"), str(root))


def _lay(tree: str, root: str) -> None:
    with os.scandir(tree) as entries:
        for entry in entries:
            destination = f"{root}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                try:
                    Path(destination).mkdir()
                except FileExistsError:
                    _must_be_folder(Path(destination))
                _lay(entry.path, destination)
                continue
            try:
                os.link(entry.path, destination, follow_symlinks=False)
            except OSError as error:
                _link_slowly(Path(entry.path), Path(destination), error)


def _must_be_folder(path: Path) -> None:
    if path.is_symlink() or not path.is_dir():
        path.unlink()
        path.mkdir()


def _link_slowly(source: Path, destination: Path, error: OSError) -> None:
    """Where something stands there already, or where the file system makes no (more) links."""
    if destination.is_dir() and not destination.is_symlink():
        shutil.rmtree(destination)
    destination.unlink(missing_ok=True)
    if error.errno == errno.EEXIST:
        os.link(source, destination, follow_symlinks=False)
    elif error.errno in (errno.EMLINK, errno.EXDEV, errno.EPERM, errno.ENOTSUP):
        shutil.copy2(source, destination, follow_symlinks=False)
    else:
        raise error


def _delete(root: Path, path: str) -> None:
    """Delete a path, or for `path/` what is in it; nothing that is reached through a link."""
    victim = root / path.rstrip("/")
    if any((root / parent).is_symlink() for parent in victim.relative_to(root).parents):
        return
    if victim.is_dir() and not victim.is_symlink():
        shutil.rmtree(victim)
    else:
        victim.unlink(missing_ok=True)
    if path.endswith("/"):
        victim.mkdir(parents=True)


def stay_inside(root: Path) -> None:
    """Refuse symbolic links that lead out of the bundle, by whatever way."""
    inside = root.resolve()
    for path in _links(str(root)):
        if not Path(os.path.realpath(path)).is_relative_to(inside):
            link = f"/{path.relative_to(root)} -> {path.readlink()}"
            raise ReleaseFailed(f"a link leads out of the image: {link}: build the image without it", "candidate")


def _links(folder: str) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_symlink():
                yield Path(entry.path)
            elif entry.is_dir(follow_symlinks=False):
                yield from _links(entry.path)


def add_interpreter(root: Path) -> None:
    """bin/python and pyvenv.cfg: what makes /venv a virtual environment of this machine's Python (PEP 405)."""
    python = Path(os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable))
    folder = root / "venv" / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    minor = f"{sys.version_info[0]}.{sys.version_info[1]}"
    for name, target in (("python", python), ("python3", Path("python")), (f"python{minor}", Path("python"))):
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(target)
    config = root / "venv" / "pyvenv.cfg"
    config.unlink(missing_ok=True)
    config.write_text(
        f"home = {python.parent}\ninclude-system-site-packages = false\nversion = {platform.python_version()}\n"
    )
