"""Locks: from requirements that leave a choice to exactly one wheel each, by its hash."""

import json
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tandem.errors import BuildFailed
from tandem.images import pip
from tandem.images.interpreter import MACHINES, Interpreter, this_interpreter
from tandem.images.requirements import Line, Requirements, read

log = logging.getLogger("tandem.images")

ROUNDS = 10


def lock(requirements: Path, platform: str, python: str) -> str:
    """A hash-locked requirements file for `platform` ("linux/amd64") and `python` ("3.11"), as text.

    Raises BuildFailed, Unreachable.
    """
    own = this_interpreter()
    machine = MACHINES[platform.removeprefix("linux/")]
    like_own = (own.system, own.machine, own.minor) == ("linux", machine, python)
    interpreter = own if like_own else Interpreter(f"{python}.0", "linux", machine, ("glibc", 2, 28))
    with tempfile.TemporaryDirectory(prefix="tandem-lock-") as scratch:
        lines = resolve(read(requirements, requirements.parent), interpreter, Path(scratch))
    return f"# locked by Tandem for {platform}, Python {python}, from {requirements.name}\n{text(lines)}"


def text(lines: tuple[Line, ...]) -> str:
    """Lines as a requirements file is written: sorted, a hash a line."""
    return "".join(line.text.replace(" --hash=", " \\\n    --hash=") + "\n" for line in lines)


def resolve(requirements: Requirements, interpreter: Interpreter, scratch: Path) -> tuple[Line, ...]:
    """Every package that these requirements need there, pinned and hashed, as the index has them now.

    pip evaluates the markers of what it finds against the Python that runs it. Where that is not the image's, each
    package's own requirements are looked at again: what the image lacks is asked for, what it does not need goes.
    """
    wanted = requirements.applying(interpreter)
    for _ in range(ROUNDS):
        found = _items(json.loads(pip.report(wanted, requirements, interpreter, scratch)))
        if interpreter.compatible():
            return _sorted(_line(item) for item in found.values())
        needed, missing = _closure(requirements.applying(interpreter), found, interpreter)
        if not missing:
            return _sorted(_line(found[name]) for name in needed)
        wanted = (*wanted, *(Line(requirement, (), "a package that needs it") for requirement in missing))
    raise BuildFailed(f"cannot resolve for {interpreter.tag} from here: lock the requirements with 'uv pip compile'")


def _items(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {canonicalize_name(item["metadata"]["name"]): item for item in report["install"]}


def _closure(
    roots: tuple[Line, ...], found: dict[str, dict[str, Any]], interpreter: Interpreter
) -> tuple[set[str], list[Requirement]]:
    """The packages that are reached from the roots by markers that hold there; and what is reached and not found."""
    needed, missing, seen = set[str](), list[Requirement](), set[str]()
    ahead = [line.requirement for line in roots]
    while ahead:
        requirement = ahead.pop()
        name = canonicalize_name(requirement.name)
        key = f"{name}[{','.join(sorted(requirement.extras))}]"
        if name not in found:
            missing.append(requirement)
        elif key not in seen:
            seen.add(key)
            needed.add(name)
            ahead += _required(found[name], requirement.extras, interpreter)
    return needed, missing


def _required(item: dict[str, Any], extras: set[str], interpreter: Interpreter) -> Iterator[Requirement]:
    for each in map(Requirement, item["metadata"].get("requires_dist", ())):
        marker, each.marker = each.marker, None
        if marker is None or any(marker.evaluate({**interpreter.markers(), "extra": x}) for x in ("", *extras)):
            yield each


def _line(item: dict[str, Any]) -> Line:
    """An item of pip's installation report as a locked line."""
    name, version = canonicalize_name(item["metadata"]["name"]), item["metadata"]["version"]
    download = item["download_info"]
    archive = download.get("archive_info", {})
    hashes = archive.get("hashes") or dict([archive.get("hash", "=").split("=", 1)])  # pip before 23.0
    if "sha256" not in hashes:
        raise BuildFailed(f"{name} {version}: its index gives no SHA-256, so nothing says which wheel it is")
    pin = f"{name} @ {download['url']}" if item.get("is_direct") else f"{name}=={version}"
    return Line.of(pin, [f"sha256:{hashes['sha256']}"])


def _sorted(lines: Iterator[Line]) -> tuple[Line, ...]:
    return tuple(sorted(lines, key=lambda line: line.text))
