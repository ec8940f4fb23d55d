"""Addresses, refs and paths are hostile until they have been here: what comes out is safe in git's argv.

git takes an argument with a leading dash for an option, and `ext::` or `fd::` addresses for programs to run.
"""

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from tandem.errors import SourceError

FULL_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
SHORT_ID = re.compile(r"[0-9a-f]{7,64}")

_SCP_LIKE = re.compile(r"(?:[A-Za-z0-9_][\w.+-]*@)?[A-Za-z0-9][A-Za-z0-9.-]*:(?!-)[^:\s][^\s]*")
_FORBIDDEN_IN_NAMES = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(/|$)")
_KINDS = "https://…, ssh://…, git@host:path, file:///…, or a folder's path"


@dataclass(frozen=True)
class Address:
    """Where a repository is. `host` is None for one on this machine, whose `url` is an absolute path."""

    url: str
    scheme: str = "file"
    host: str | None = None  # with its port
    user: str | None = None


def address(repository: str, root: Path) -> Address:
    """The address that [source].repository means; relative paths start at `root`. Raises SourceError."""
    if not repository or len(repository) > 2000 or re.search(r"[\x00-\x1f\x7f]", repository):
        raise SourceError(f"source.repository is empty, too long or holds control characters: write {_KINDS}")
    if repository.startswith("-") or "::" in repository.split("/")[0]:
        raise SourceError(f"source.repository {repository!r} is no address of a repository: write {_KINDS}")
    if "://" in repository:
        return _from_url(repository)
    if _SCP_LIKE.fullmatch(repository) and not (root / repository).exists():
        place = repository.partition(":")[0]
        user, _, host = place.rpartition("@")
        return Address(repository, "ssh", host, user or None)
    return Address(str((root / repository).resolve()))


def _from_url(repository: str) -> Address:
    try:
        parts = urlsplit(repository)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise SourceError(f"source.repository is no URL that can be read ({error}): write {_KINDS}") from None
    if parts.password is not None:
        raise SourceError(
            f"source.repository holds a password for {host}: take it out, and name its place in source.credentials"
        )
    if parts.scheme == "file" and host in ("", "localhost"):
        return Address(str(Path(unquote(parts.path)).resolve()))
    if parts.scheme not in ("https", "http", "ssh"):
        raise SourceError(f"source.repository {repository!r}: {parts.scheme}:// is not allowed: write {_KINDS}")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]*|[0-9a-f:.]+", host) or parts.path.startswith("/-"):
        raise SourceError(f"source.repository {repository!r} names no host or a strange one: write {_KINDS}")
    if (parts.username or "").startswith("-"):
        raise SourceError(f"source.repository {repository!r} names a strange user: write {_KINDS}")
    named = f"[{host}]" if ":" in host else host
    return Address(repository, parts.scheme, f"{named}:{port}" if port else named, parts.username)


def ref_name(ref: str) -> str:
    """The name of a branch or tag, or a commit id, as it was given; raises SourceError where it cannot be one.

    The rules are those of git-check-ref-format(1). Expressions such as `main~1` are not taken: they mean
    something else each time.
    """
    refused = _FORBIDDEN_IN_NAMES.search(ref) or ref.startswith(("-", "/", ".")) or ref.endswith(("/", "."))
    if not ref or len(ref) > 250 or refused or ref == "@":
        raise SourceError(f"{ref[:250]!r} is no name of a branch or tag, and no commit id")
    return ref


def literal_paths(paths: tuple[str, ...], prefix: str = "") -> tuple[str, ...]:
    """source.paths as git's literal pathspecs below `prefix`; empty where every commit matters."""
    clean = []
    for path in paths:
        parts = PurePosixPath(path).parts
        if not path or path.startswith("/") or ".." in parts or re.search(r"[\x00-\x1f]", path):
            raise SourceError(f"source.paths: {path!r} is not a relative path inside the repository")
        clean.append(str(PurePosixPath(prefix, path)))
    if "." in clean:
        return ()
    return tuple(clean) or ((prefix.rstrip("/"),) if prefix else ())
