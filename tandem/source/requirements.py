"""Requirements files, read as far as it takes to know whether an environment made from them is still the right one."""

import hashlib
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tandem.errors import SuiteFailed

_FOLLOWED = re.compile(r"^(?:-r|--requirement|-c|--constraint)(?:\s*=\s*|\s+|(?<=-[rc]))(\S.*)$")
_LOCAL = re.compile(
    r"^(?:-e\s|--editable[\s=]|\.{0,2}/|\.{1,2}(?:\[|\s|$)|file:|[\w.-]+(?:\[[^]]*\])?\s*@\s*(?:file:|\.))"
)


@dataclass(frozen=True)
class Requirements:
    """What is to be installed: the files as given, the hash of all they say (64 hex digits).

    `local`: something of the checkout itself is installed (`-e .`, `./lib`), so no other commit may use the result.
    """

    files: tuple[str, ...]
    digest: str
    local: bool = False


def read(tree: Path, files: Sequence[str]) -> Requirements:
    """The requirements files of a checkout, with those that they name by -r and -c. Raises SuiteFailed.

    A requirement that lies at an address counts by its line, not by what is there.
    """
    digest, local, seen = hashlib.sha256(), False, set[Path]()
    todo = [(tree / name, name) for name in files]
    while todo:
        file, name = todo.pop(0)
        real, content = _content(tree, file, name)
        if real in seen:
            continue
        seen.add(real)
        digest.update(f"{len(content)} {name}\n".encode() + content)
        for line in _lines(content):
            if match := _FOLLOWED.match(line):
                inner = shlex.split(match[1], comments=True)[0]
                if "://" not in inner:
                    todo.append((real.parent / inner, inner))
            local = local or bool(_LOCAL.match(line))
    return Requirements(tuple(files), digest.hexdigest(), local)


def _lines(content: bytes) -> list[str]:
    text = re.sub(r"\\\r?\n", " ", content.decode(errors="replace"))
    return [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def _content(tree: Path, file: Path, name: str) -> tuple[Path, bytes]:
    """Where the file really is, and its bytes."""
    try:
        real = file.resolve(strict=True)
        content = real.read_bytes() if real.is_relative_to(tree.resolve()) else None
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle, before Python 3.13
        raise SuiteFailed(f"test.requirements: {name} cannot be read in this commit ({error})") from None
    if content is None:
        raise SuiteFailed(f"test.requirements: {name} lies outside the commit's files: it must be in the repository")
    return real, content
