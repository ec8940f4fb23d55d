"""A Dockerfile, read for what a person must be told: which line a step is, and whether only BuildKit knows its words.

Source: Docker's "Dockerfile reference"; moby's parser.go for continued lines, comments among them, and the escape
directive. What an instruction does is the daemon's business.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from tandem.errors import BuildFailed
from tandem.records import Source

ONLY_BUILDKIT = re.compile(
    r"(?i)(?:RUN|ADD|COPY)\s+(?:--\S+\s+)*"
    r"(?:--(?:mount|network|security|link|chmod|parents|exclude|checksum|keep-git-dir)(?:[=\s]|$)"
    r"|(?:.*[\s;&|])?<<-?[\"']?\w)"
)
DIRECTIVE = re.compile(r"#\s*(\w+)\s*=\s*(\S.*?)\s*")


@dataclass(frozen=True)
class Instruction:
    """One instruction as it stands there: `line` counts from 1, `text` has its continued lines joined."""

    line: int
    text: str

    def __str__(self) -> str:
        return self.text if len(self.text) <= 200 else f"{self.text[:199]}…"


@dataclass(frozen=True)
class Dockerfile:
    """`path` is relative to the commit's folder."""

    path: str
    instructions: tuple[Instruction, ...]
    syntax: str | None = None  # the frontend that a `# syntax=` line names

    @property
    def buildkit(self) -> str | None:
        """What of it the classic builder does not know, as file:line; None where there is nothing."""
        if self.syntax:
            return f"{self.path}:1: # syntax={self.syntax}"
        found = next((each for each in self.instructions if ONLY_BUILDKIT.match(each.text)), None)
        return self.place(found) if found else None

    def place(self, instruction: Instruction) -> str:
        """`Dockerfile:7: RUN …`."""
        return f"{self.path}:{instruction.line}: {instruction}"

    def step(self, number: int) -> str:
        """The classic builder's step (from 1) as file:line; the file alone for a step that does not stand in it."""
        if 1 <= number <= len(self.instructions):
            return self.place(self.instructions[number - 1])
        return self.path

    def at(self, line: int) -> str:
        """The instruction that holds this line of the file."""
        held = [each for each in self.instructions if each.line <= line]
        return self.place(held[-1]) if held else self.path


def read(source: Source, path: str) -> Dockerfile:
    """The Dockerfile of a commit. Raises BuildFailed where it is not there, or is no text."""
    file, root = Path(source.folder, path), os.path.realpath(source.folder)
    inside = os.path.realpath(file).startswith(root + os.sep)
    if not inside or not file.is_file():
        what = "is not there" if inside else "is outside the repository"
        raise BuildFailed(
            f"[image] dockerfile = {path!r}: {what} in commit {source.commit.id[:12]}: add it, or correct app.toml"
        )
    try:
        return parse(file.read_text(encoding="utf-8-sig"), path)
    except UnicodeDecodeError:
        raise BuildFailed(f"{path} is not UTF-8: save it as UTF-8") from None


def parse(text: str, path: str = "Dockerfile") -> Dockerfile:
    """The instructions of a Dockerfile's text, in its order."""
    lines = text.splitlines()
    directives = _directives(lines)
    continued = re.compile(re.escape(directives.get("escape", "\\")) + r"[ \t]*$")
    found: list[Instruction] = []
    number = 0
    while number < len(lines):
        start, words = number + 1, list[str]()
        while number < len(lines):
            line = lines[number].strip() if not words else lines[number].rstrip()
            number += 1
            if not line.strip() or line.lstrip().startswith("#"):
                if words:
                    continue  # comments and empty lines among continued ones
                break
            words.append(continued.sub("", line).strip())
            if not continued.search(line):
                break
        if words:
            found.append(Instruction(start, " ".join(filter(None, words))))
            number = _after_heredocs(lines, number, found[-1].text)
    return Dockerfile(path, tuple(found), directives.get("syntax"))


def _directives(lines: list[str]) -> dict[str, str]:
    """The directives at the very top, by their names in lower case."""
    found: dict[str, str] = {}
    for line in lines:
        match = DIRECTIVE.fullmatch(line.strip())
        if match is None:
            break
        found[match[1].lower()] = match[2]
    return found


def _after_heredocs(lines: list[str], number: int, text: str) -> int:
    """The line after the here-documents that an instruction opens."""
    if not re.match(r"(?i)(?:RUN|ADD|COPY)\s", text):
        return number
    for dash, name in re.findall(r"<<(-?)[\"']?(\w+)[\"']?", text):
        end = next(
            (at for at in range(number, len(lines)) if (lines[at].lstrip("\t") if dash else lines[at]) == name), None
        )
        number = number if end is None else end + 1
    return number
