"""A bundle grows: layer over layer by hard links, then this machine's interpreter; no link is ever followed."""

import errno
import os
import platform
import shutil
import sys
from pathlib import Path

from tandem.errors import ReleaseFailed
from tandem.targets.trees import whiteouts


def apply(layer: Path, root: Path) -> None:
    """Put a layer's tree over what is there: deletions first, then folders and hard links; no link is followed."""
    for path in whiteouts(layer):
        _delete(root, path)
    tree = layer / "tree"
    for folder, folders, names in os.walk(tree):
        here = root / Path(folder).relative_to(tree)
        for name in (*folders, *names):
            source, destination = Path(folder) / name, here / name
            if source.is_dir() and not source.is_symlink():
                if destination.is_symlink() or not destination.is_dir():
                    destination.unlink(missing_ok=True)
                    destination.mkdir()
                continue
            if destination.is_dir() and not destination.is_symlink():
                shutil.rmtree(destination)
            destination.unlink(missing_ok=True)
            try:
                os.link(source, destination, follow_symlinks=False)
            except OSError as error:
                if error.errno not in (errno.EMLINK, errno.EXDEV, errno.EPERM, errno.ENOTSUP):
                    raise
                shutil.copy2(source, destination, follow_symlinks=False)


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
    for folder, folders, names in os.walk(root):
        for path in (Path(folder) / name for name in (*folders, *names)):
            if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(inside):
                link = f"/{path.relative_to(root)} -> {path.readlink()}"
                raise ReleaseFailed(f"a link leads out of the image: {link}: build the image without it", "candidate")


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
