"""A bare copy of a repository's branches and tags, fetched by what is new, shared by every run on this machine."""

import hashlib
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from tandem.run import Finished
from tandem.source.folders import locked
from tandem.source.git import command, do, environment
from tandem.source.refusals import refusal
from tandem.source.validate import Address

REFS = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
FETCH_LIMIT = 3600.0  # seconds; a fetch that carries nothing for a minute ends long before
_BROKEN = r"bad object|missing blob|missing tree|is corrupt|object file .* is empty|not a git repository|unable to read"


def place(mirrors: Path, address: Address) -> Path:
    """Where the mirror of an address is kept."""
    return mirrors / hashlib.sha256(address.url.encode()).hexdigest()[:24]


def fetch(mirror: Path, address: Address, access: Mapping[str, str], wanted: str | None = None) -> None:
    """Bring branches and tags up to date, forced and deleted ones too, and `wanted`, a full id, where it is named.

    One run at a time; a mirror that is damaged is made anew. Raises Unreachable, SourceError.
    """
    with locked(mirror.with_suffix(".lock"), FETCH_LIMIT):
        if not (mirror / "HEAD").exists():
            _create(mirror, address, access)
        finished = _fetch(mirror, address, access, wanted)
        if finished.code and re.search(_BROKEN, finished.output) and str(mirror) in finished.output:
            shutil.rmtree(mirror)
            _create(mirror, address, access)
            finished = _fetch(mirror, address, access, wanted)
        if finished.code or finished.timed_out:
            raise refusal(address, finished)
        do(command(mirror, "gc", "--auto", "--quiet", env=access, time_limit=FETCH_LIMIT))


def _fetch(mirror: Path, address: Address, access: Mapping[str, str], wanted: str | None) -> Finished:
    for left in (*mirror.glob("*.lock"), *mirror.glob("refs/**/*.lock")):  # by a fetch that was killed; we hold ours
        left.unlink(missing_ok=True)
    whole = ("--unshallow",) if (mirror / "shallow").exists() else ()
    refs = REFS if wanted is None else (f"{wanted}:refs/tandem/{wanted}",)
    prune = ("--prune",) if wanted is None else ()
    options = ("--quiet", "--no-tags", "--update-shallow", "--no-write-fetch-head", "--no-recurse-submodules")
    words = ("fetch", *options, *prune, *whole, "--", address.url, *refs)
    return do(command(mirror, *words, env=access, time_limit=FETCH_LIMIT))


def _create(mirror: Path, address: Address, access: Mapping[str, str]) -> None:
    """An empty bare repository; one on this machine gives its objects as hard links, safe from its own gc."""
    mirror.parent.mkdir(parents=True, exist_ok=True)
    new = mirror.with_suffix(".new")  # left by a run that was killed: the lock is ours
    shutil.rmtree(new, ignore_errors=True)
    linked = None
    if address.host is None:
        linked = do(
            command(mirror.parent, "clone", "--quiet", "--bare", "--template=", "--", address.url, str(new), env=access)
        )
    if linked is None or linked.code:
        shutil.rmtree(new, ignore_errors=True)
        made = do(command(new, "init", "--quiet", "--bare", "--template=", env=environment(access)))
        if made.code:
            raise refusal(address, made)
    new.rename(mirror)
