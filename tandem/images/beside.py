"""Packages beside those of an image: what its tests need, for its interpreter, and nothing that it holds itself."""

import functools
import operator
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from tandem.errors import BuildFailed
from tandem.images.interpreter import Inhabitant
from tandem.images.packages import choose, unpacked
from tandem.images.requirements import Line, Requirements, read


@contextmanager
def beside(inhabitant: Inhabitant, files: Sequence[str], root: Path, folder: Path) -> Iterator[Path]:
    """A folder as a virtual environment's, without its python, with what the files ask for and the image has not.

    `root` is the commit's folder; what was made before is found in `folder`. Raises BuildFailed, also where the image
    holds another version than a file asks for; Unreachable.
    """
    held = {name: version for name, version in inhabitant.packages.items() if _known(version)}
    asked = functools.reduce(operator.add, (read(root / file, root) for file in files), Requirements())
    interpreter = inhabitant.interpreter
    wanted = tuple(line for line in asked.applying(interpreter) if not _satisfied(line, held))
    bounds = tuple(Line.of(f"{name}=={version}", ()) for name, version in held.items())  # what comes along must fit
    bounded = replace(asked, lines=wanted, constraints=asked.constraints + bounds)
    chosen = choose(bounded, interpreter, inhabitant.path, folder)
    lines = tuple(line for line in chosen.lines if canonicalize_name(line.requirement.name) not in held)
    with unpacked(replace(chosen, lines=lines), folder) as tree:
        yield tree


def _known(version: str) -> bool:
    try:
        Version(version)
    except InvalidVersion:
        return False
    return True


def _satisfied(line: Line, held: Mapping[str, str]) -> bool:
    asked = line.requirement
    if (version := held.get(canonicalize_name(asked.name))) is None:
        return False
    if asked.url or not asked.specifier.contains(version, prereleases=True):
        raise BuildFailed(f"{line.where} asks for {asked}, and the image holds {asked.name} {version}: make them agree")
    return not asked.extras or line.pinned  # what the extras need stands in a locked file too
