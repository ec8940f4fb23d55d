"""`newest = "modified"`: stores that people fill by hand, where the last change decides what is newest.

`name` is a folder, a file, or a pattern of them ("digits-*", "runs/*"); each match is a version. Its id is the
SHA-256 of its files' names, sizes and tags (ETag; in a folder, mtime in ns): nobody has hashed the bytes yet.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from functools import partial

from tandem.documents import canonical
from tandem.errors import ModelRefused, UsageError
from tandem.models.files import facts_of
from tandem.models.names import check_files, check_pattern
from tandem.models.objects import Entry, Objects
from tandem.models.passing import exact
from tandem.models.store import only
from tandem.records import Blob, Facts, Model


@dataclass(frozen=True)
class Match:
    """A folder or file that the pattern names, and its files by their names inside the model."""

    path: str
    files: tuple[tuple[str, Entry], ...]

    @property
    def modified(self) -> datetime:
        """When the last of its files was changed."""
        return max(entry.modified for _, entry in self.files)

    @property
    def version(self) -> str:
        """The SHA-256 of names, sizes and tags; the folder's own name is no part of it."""
        files = [{"name": name, "size": entry.size, "tag": entry.tag} for name, entry in sorted(self.files)]
        return hashlib.sha256(canonical({"files": files})).hexdigest()


@dataclass(frozen=True)
class ModifiedStore:
    """The Store over any Objects where nobody publishes."""

    objects: Objects

    def __str__(self) -> str:
        return str(self.objects)

    def versions(self, name: str) -> Iterator[Model]:
        """Last changed first, ties by name; metrics.json of each is read when its turn comes."""
        for match in self._matches(name):
            yield self._model(name, match)

    def model(self, name: str, version: str) -> Model:
        """As it lies there now; raises ModelNotFound where it was changed since, since it is another version then."""
        matches = self._matches(name)
        return self._model(name, matches[only(version, [match.version for match in matches], name, str(self))])

    def publish(self, name: str, files: Sequence[Blob], facts: Facts, by: str = "") -> Model:
        """Raises UsageError: what lies here is put here by hand."""
        raise UsageError(f'{self} is filled by hand: publishing needs [model].newest = "published"')

    def _matches(self, pattern: str) -> list[Match]:
        check_pattern(pattern)
        depth = pattern.count("/") + 1
        found: dict[str, list[tuple[str, Entry]]] = {}
        for entry in self.objects.list(_literal(pattern)):
            parts = entry.path.split("/")
            if any(part.startswith(".") for part in parts):
                continue
            head = parts[:depth]
            if len(head) == depth and all(map(fnmatchcase, head, pattern.split("/"))):
                inside = "/".join(parts[depth:]) or parts[-1]
                found.setdefault("/".join(head), []).append((inside, entry))
        matches = [Match(path, tuple(files)) for path, files in found.items()]
        return sorted(matches, key=lambda match: (match.modified, match.path), reverse=True)

    def _model(self, name: str, match: Match) -> Model:
        check_files(inside for inside, _ in match.files)
        files = tuple(
            Blob(inside, entry.size, None, partial(self._open, entry))
            for inside, entry in sorted(match.files, key=lambda file: file[0])
        )
        return Model(name, match.version, files, _facts(files), match.modified)

    def _open(self, entry: Entry, offset: int) -> Iterator[bytes]:
        what = f"{self}/{entry.path} (changed while it was read: wait until it is whole)"
        return exact(self.objects.read(entry.path, offset, entry.tag), entry.size - offset, None, what)


def _facts(files: Sequence[Blob]) -> Facts:
    """A metrics.json that cannot be read must not hide the versions before it: `require` will say what is wrong."""
    try:
        return facts_of(files)
    except ModelRefused as error:
        return Facts(about={"metrics": str(error)})


def _literal(pattern: str) -> str:
    """What stands before the pattern's first special character: all that a listing needs to look at."""
    special = [pattern.index(character) for character in "*?[" if character in pattern]
    return pattern[: min(special, default=len(pattern))]
