"""`.dockerignore`, read and matched as Docker does.

Docker's reference, "File format of .dockerignore", says it for people; what decides is moby's `patternmatcher`
and its `ignorefile`, whose rules these are: one pattern a line, `#` in the first column a comment, blanks at both
ends gone, the path cleaned, a leading slash without meaning, `*` and `?` within one name, `**` across folders, the
last pattern that matches a path or a folder above it decides, and `!` takes back.
"""

import posixpath
import re
from dataclasses import dataclass

from tandem.errors import BuildFailed

ESCAPED = frozenset(".+()|{}$")


@dataclass(frozen=True)
class Dockerignore:
    """The patterns of one file, in its order: (takes back, what matches)."""

    patterns: tuple[tuple[bool, re.Pattern[str]], ...] = ()

    def excludes(self, path: str) -> bool:
        """Whether this path, relative to the folder of .dockerignore, stays out."""
        parts = path.split("/")
        chain = ["/".join(parts[: depth + 1]) for depth in range(len(parts))]
        out = False
        for takes_back, pattern in self.patterns:
            if takes_back == out and any(pattern.fullmatch(part) for part in chain):
                out = not takes_back
        return out


def parse(text: str, name: str = ".dockerignore") -> Dockerignore:
    """The patterns of a file's text. Raises BuildFailed, with the line, for a pattern that Docker refuses too."""
    patterns: list[tuple[bool, re.Pattern[str]]] = []
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        pattern = "" if line.startswith("#") else line.strip()
        takes_back = pattern.startswith("!")
        cleaned = pattern.removeprefix("!").strip()
        if not cleaned and not takes_back:
            continue
        try:
            if not cleaned:
                raise re.error("'!' alone takes nothing back")
            cleaned = posixpath.normpath(re.sub("^/+", "/", cleaned))
            patterns.append((takes_back, _compile(cleaned[1:] if len(cleaned) > 1 and cleaned[0] == "/" else cleaned)))
        except re.error as error:
            raise BuildFailed(f"{name}, line {number}: {line.strip()!r} is no pattern: {error}") from None
    return Dockerignore(tuple(patterns))


def _compile(pattern: str) -> re.Pattern[str]:
    """The regular expression of moby's patternmatcher, compile(); its shortcuts for plain texts are kept."""
    head, tail = pattern.removeprefix("**"), pattern.removesuffix("**")
    if head != pattern and not set(head) & set("*?[]\\"):  # "**name" is any path that ends so, "**/name" a whole name
        return re.compile(f"(?s:.*/)?{re.escape(head[1:])}" if head.startswith("/") else f"(?s:.*){re.escape(head)}")
    if tail != pattern and not set(tail) & set("*?[]\\"):
        return re.compile(f"{re.escape(tail)}(?s:.*)")
    expression, rest = "", pattern
    while rest:
        sign, rest = rest[0], rest[1:]
        if sign == "*" and rest.startswith("*"):
            rest = rest[1:].removeprefix("/")
            expression += "(?s:.*/)?" if rest else "(?s:.*)"
        elif sign in "*?":
            expression += "[^/]*" if sign == "*" else "[^/]"
        elif sign == "\\":
            if not rest:
                raise re.error("nothing follows the last backslash")
            expression, rest = expression + re.escape(rest[0]), rest[1:]
        else:
            expression += f"\\{sign}" if sign in ESCAPED else sign
    return re.compile(expression)
