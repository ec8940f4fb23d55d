"""requirements.txt, read as pip reads it: lines joined, comments gone, `-r` and `-c` followed, options kept apart.

pip's reference, "Requirements File Format", is what is followed. Refused, each with what to do instead: what is no
wheel on an index (`-e`, a version control address, a path), because an image must not depend on this machine.
"""

import os
import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from tandem.errors import BuildFailed
from tandem.images.interpreter import Interpreter

PASSED_ON = {"-i", "--index-url", "--extra-index-url", "-f", "--find-links", "--trusted-host", "--use-feature"}
PASSED_ON_FLAGS = {"--no-index", "--pre", "--prefer-binary"}
WITHOUT_MEANING = {"--no-binary", "--only-binary", "--config-settings", "--global-option"}  # wheels are all we take
BUILD_IT = "build its wheel, commit it or put it on your index, and name it by --find-links FOLDER and NAME==VERSION"

SET_IT = "Set what pip needs there as PIP_… (PIP_INDEX_URL, say), in pip.conf, or in .netrc"


@dataclass(frozen=True)
class Line:
    """One requirement, its hashes (`sha256:…`, sorted) and where it was written, for errors."""

    requirement: Requirement
    hashes: tuple[str, ...]
    where: str

    @classmethod
    def of(cls, requirement: str, hashes: Iterable[str]) -> "Line":
        """A line that Tandem writes."""
        return cls(Requirement(requirement), tuple(sorted(hashes)), "Tandem")

    @property
    def pinned(self) -> bool:
        """Whether one version and no other satisfies it."""
        pins = [
            each for each in self.requirement.specifier if each.operator in {"==", "==="} and "*" not in each.version
        ]
        return bool(pins or self.requirement.url)

    @property
    def text(self) -> str:
        """The requirement without its marker, with its hashes: as normalised as can be."""
        plain = Requirement(str(self.requirement))
        plain.marker, plain.name = None, canonicalize_name(plain.name)
        return " ".join([str(plain), *(f"--hash={each}" for each in self.hashes)])


@dataclass(frozen=True)
class Requirements:
    """Everything that a requirements file and those it includes say; options verbatim, for pip alone to read."""

    lines: tuple[Line, ...] = ()
    constraints: tuple[Line, ...] = ()
    options: tuple[str, ...] = field(default=(), repr=False)  # an index's address may hold a password
    hashed: bool = False  # --require-hashes, or a hash anywhere: then pip wants all of them

    def __add__(self, other: "Requirements") -> "Requirements":
        """Both, as one file that includes another."""
        return Requirements(
            self.lines + other.lines,
            self.constraints + other.constraints,
            self.options + other.options,
            self.hashed or other.hashed,
        )

    def locked(self) -> bool:
        """Whether every line has a hash and one version; BuildFailed, naming the lines, where only some have."""
        loose = [line for line in self.lines if not (line.hashes and line.pinned)]
        if self.hashed and loose:
            names = ", ".join(f"{line.requirement.name} ({line.where})" for line in loose)
            raise BuildFailed(f"hashes for some requirements, and no hash or no == for {names}: lock them all, or none")
        return not loose

    def applying(self, interpreter: Interpreter) -> tuple[Line, ...]:
        """The lines whose marker holds for the image's interpreter (not for this one), sorted by name."""
        return _held(self.lines, interpreter)

    def constraining(self, interpreter: Interpreter) -> tuple[Line, ...]:
        """The constraints whose marker holds there."""
        return _held(self.constraints, interpreter)


def _held(lines: tuple[Line, ...], interpreter: Interpreter) -> tuple[Line, ...]:
    environment: dict[str, str] = {**interpreter.markers(), "extra": ""}
    held = [line for line in lines if not (marker := line.requirement.marker) or marker.evaluate(dict(environment))]
    return tuple(sorted(held, key=lambda line: line.text))


def read(file: Path, root: Path) -> Requirements:
    """A requirements file and what it includes, all inside `root`. Raises BuildFailed with file and line."""
    return _read(file, root, ())


def _read(file: Path, root: Path, above: tuple[Path, ...]) -> Requirements:
    real = Path(os.path.realpath(file))
    name = os.path.relpath(file, root)
    if not real.is_relative_to(os.path.realpath(root)):
        raise BuildFailed(f"{name}: outside the repository: requirements must be part of the commit")
    if real in above:
        raise BuildFailed(f"{name}: includes itself")
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, IsADirectoryError):
        raise BuildFailed(f"no file {name} in the commit: correct [image] requirements, or commit it") from None
    except UnicodeDecodeError:
        raise BuildFailed(f"{name} is not UTF-8: save it as UTF-8") from None
    found = Requirements()
    for number, line in _joined(text):
        _check_variables(line, f"{name}:{number}")
        found = _with(found, line, f"{name}:{number}", file.parent, root, (*above, real))
    return found


def _check_variables(line: str, where: str) -> None:
    """Refuse every ${…} but that of pip's own settings: an address may lead anywhere, and take a secret there."""
    for name in re.findall(r"\$\{([^}]*\}?)", line):
        shown = f"{where}: ${{{name}"
        if not re.fullmatch(r"PIP_[A-Z0-9_]+\}", name):
            raise BuildFailed(
                f"{shown} is not put in: only variables named PIP_… are, as a commit could send any other anywhere. "
                f"{SET_IT}"
            )
        if name.removesuffix("}") not in os.environ:
            raise BuildFailed(f"{shown} is not set where Tandem runs. {SET_IT}")
        if not line.startswith("-") and re.search(r"@|://", line):
            raise BuildFailed(f"{shown} in the address of a wheel would stand in the image: use .netrc, or an index")


def _joined(text: str) -> Iterator[tuple[int, str]]:
    """Logical lines with the number of their first; a comment ends a line that was continued, as in pip."""
    held, first = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        first = first if held else number
        if line.endswith("\\") and not line.lstrip().startswith("#"):
            held += line.removesuffix("\\") + " "
            continue
        whole = re.sub(r"(^|\s+)#.*$", "", held + line).strip()
        held = ""
        if whole:
            yield first, whole
    if whole := re.sub(r"(^|\s+)#.*$", "", held).strip():
        yield first, whole


def _with(
    found: Requirements, line: str, where: str, folder: Path, root: Path, above: tuple[Path, ...]
) -> Requirements:
    words = shlex.split(line) if line.startswith("-") else []
    option, _, value = words[0].partition("=") if words else ("", "", "")
    value = value or " ".join(words[1:])
    if option[:2] in {"-r", "-c", "-i", "-f", "-e"} and not option.startswith("--") and option[2:]:
        option, value = option[:2], option[2:]
    if option in {"-e", "--editable"}:
        raise BuildFailed(f"{where}: '{line}': an image holds no editable install: list the folder in [image] files")
    if option in {"-r", "--requirement", "-c", "--constraint"}:
        if "://" in value:
            raise BuildFailed(f"{where}: '{option}' of an address: commit the file, so that it is part of the commit")
        inner = _read(folder / value, root, above)
        if option in {"-c", "--constraint"}:
            inner = Requirements((), inner.constraints + inner.lines, inner.options)
        return found + inner
    if option in PASSED_ON or option in PASSED_ON_FLAGS:
        if option in {"-f", "--find-links"} and (folder / value).exists():
            line = f"{option} {shlex.quote(os.path.realpath(folder / value))}"
        return found + Requirements(options=(line,))
    if option == "--require-hashes":
        return found + Requirements(hashed=True)
    if option in WITHOUT_MEANING:
        return found
    if option:
        raise BuildFailed(f"{where}: {option} is not for an image: take the line out")
    parsed = _line(line, where)
    return found + Requirements((parsed,), hashed=bool(parsed.hashes))


def _line(line: str, where: str) -> Line:
    text, *options = re.split(r"\s+(?=--?[a-z])", line)
    filled = re.sub(r"\$\{(PIP_[A-Z0-9_]+)\}", lambda match: os.environ[match[1]], text)
    try:
        requirement = Requirement(filled)
    except InvalidRequirement as error:
        if filled != text:
            raise BuildFailed(f"{where}: {text}: no requirement once its variables are put in: correct them") from None
        if re.match(r"(git|hg|svn|bzr)\+", text):
            raise BuildFailed(f"{where}: a version control address is no wheel: {BUILD_IT}") from None
        if re.match(r"(\.|/|file:)", text) or text.endswith(".whl"):
            raise BuildFailed(f"{where}: {text}: a path is not on an index: {BUILD_IT}") from None
        raise BuildFailed(f"{where}: no requirement: {error}".splitlines()[0]) from None
    if requirement.url and filled != text:
        raise BuildFailed(f"{where}: {text}: an address from a variable would stand in the image: use an index")
    address = urlsplit(requirement.url or "")
    if requirement.url and (address.scheme not in {"https", "http"} or not address.path.endswith(".whl")):
        raise BuildFailed(f"{where}: {requirement.name}: its address is not a wheel's: {BUILD_IT}")
    if "@" in address.netloc:
        raise BuildFailed(f"{where}: {requirement.name}: a password in the address would stand in the image: use netrc")
    hashes = {option.partition("=")[2].strip() for option in options if option.startswith("--hash=")}
    hashes |= {option.split(maxsplit=1)[1] for option in options if option.startswith("--hash ")}
    return Line(requirement, tuple(sorted(hashes)), where)
