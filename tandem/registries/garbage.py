"""What an image layout may forget: blobs that no listed image needs, once no writer can still be about to use them.

A blob is in use for GRACE seconds after it was written or asked for: so long has a writer, from its first blob to
its image manifest. One that takes longer is told which blob to write again. The folder's lock must be held.
"""

from collections.abc import Iterator

from tandem.manifests import DOCKER_INDEX, DOCKER_MANIFEST, INDEX, MANIFEST, Index, parse
from tandem.records import Descriptor
from tandem.registries.entries import SUBJECT, TAG, UNTAGGED
from tandem.registries.folder import Folder

GRACE = 24 * 3600.0


def subject(folder: Folder, entry: Descriptor) -> str | None:
    """The digest whose referrer this entry is, or None; entries that other programs wrote are looked into."""
    if SUBJECT in entry.annotations:
        return entry.annotations[SUBJECT]
    marked = TAG in entry.annotations or UNTAGGED in entry.annotations
    if marked or entry.media_type != MANIFEST or not folder.blob(entry.digest).exists():
        return None
    parsed = parse(folder.small(entry), f"{folder} {entry.digest}")
    return None if isinstance(parsed, Index) or parsed.subject is None else parsed.subject.digest


def with_referrers(folder: Folder, index: Index, digest: str) -> set[str]:
    """The digest, its referrers, theirs, and so on."""
    found, more = {digest}, {digest}
    while more:
        more = {entry.digest for entry in index.manifests if subject(folder, entry) in more} - found
        found |= more
    return found


def forgotten(folder: Folder, index: Index, now: float) -> set[str]:
    """The images that Tandem put without a tag, and that nobody ever tagged, or referred to, within GRACE.

    These are app images. What had a tag once may run somewhere: it goes by its digest, or not at all.
    """
    subjects = {subject(folder, entry) for entry in index.manifests}
    return {
        entry.digest
        for entry in index.manifests
        if UNTAGGED in entry.annotations and entry.digest not in subjects and _old(folder, entry.digest, now)
    }


def collect(folder: Folder, index: Index, doomed: set[str], now: float) -> None:
    """Remove the doomed image manifests, and every blob that is garbage."""
    needed = {digest for entry in index.manifests for digest in needs(folder, entry)}
    for file in (folder.path / "blobs" / "sha256").iterdir():
        digest = f"sha256:{file.name}"
        if digest not in needed and (digest in doomed or _old(folder, digest, now)):
            file.unlink(missing_ok=True)


def needs(folder: Folder, entry: Descriptor) -> Iterator[str]:
    """The digests that an image manifest or index stands on, its own first."""
    yield entry.digest
    known = entry.media_type in {MANIFEST, INDEX, DOCKER_MANIFEST, DOCKER_INDEX}
    if not known or not folder.blob(entry.digest).exists():
        return
    parsed = parse(folder.small(entry), f"{folder} {entry.digest}")
    if isinstance(parsed, Index):
        for child in parsed.manifests:
            yield from needs(folder, child)
    else:
        yield parsed.config.digest
        yield from (layer.digest for layer in parsed.layers)


def _old(folder: Folder, digest: str, now: float) -> bool:
    path = folder.blob(digest)
    return not path.exists() or now - path.stat().st_mtime > GRACE
