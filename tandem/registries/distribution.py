"""A registry that speaks the OCI distribution protocol (distribution-spec 1.1; Docker's registry 2 too)."""

from collections.abc import Iterator, Sequence

from tandem.errors import NotInRegistry, RegistryError
from tandem.manifests import (
    DOCKER_INDEX,
    DOCKER_MANIFEST,
    INDEX,
    LIMIT,
    MANIFEST,
    check,
    digest_of,
    is_digest,
    manifest_bytes,
)
from tandem.records import Blob, Descriptor, ImageManifest
from tandem.registries import subjects
from tandem.registries.answers import BlobUnknown, document, small
from tandem.registries.downloads import download
from tandem.registries.entries import as_referrer
from tandem.registries.uploads import SMALL, Uploads
from tandem.registries.wire import Wire

KINDS = {"Accept": ", ".join((MANIFEST, INDEX, DOCKER_MANIFEST, DOCKER_INDEX))}
PUSH = "pull,push"
TRIES = 7  # at an image manifest whose blobs the registry does not find: 1.3 s


class DistributionRegistry:
    """`host[:port]/repository`: see Registry in tandem/seams.py. `sources` are repositories to mount blobs from."""

    def __init__(self, wire: Wire, sources: Sequence[str] = ()) -> None:
        self.wire, self.sources = wire, tuple(sources)
        self._uploads = Uploads(wire)

    def __str__(self) -> str:
        return str(self.wire)

    def resolve(self, reference: str) -> Descriptor | None:
        """One HEAD; a registry that names no digest there is asked for the image manifest itself."""
        is_digest(reference)
        url, doing = self.wire.url(f"manifests/{reference}"), f"resolving {reference}"
        with self.wire.ask("HEAD", url, doing, ok=(200, 404), headers=KINDS) as answer:
            if answer.status_code == 404:
                return None
            kind = answer.headers.get("Content-Type", MANIFEST).partition(";")[0]
            if kind.startswith("text/"):
                raise RegistryError(f"{self}: {doing}: {kind}: is this the registry's address, and not a proxy's?")
            digest, size = answer.headers.get("Docker-Content-Digest", ""), answer.headers.get("Content-Length", "")
        if size.isdigit() and digest.startswith("sha256:") and is_digest(digest):
            return Descriptor(kind, digest, int(size))
        with self.wire.ask("GET", url, doing, headers=KINDS) as answer:
            content = small(answer, f"{self}: {doing}")
        return Descriptor(kind, digest_of(content), len(content))

    def manifest(self, digest: str) -> bytes:
        """The bytes of an image manifest or index, checked."""
        doing = f"reading image manifest {_checked(digest)}"
        with self.wire.ask("GET", self.wire.url(f"manifests/{digest}"), doing, headers=KINDS) as answer:
            return check(small(answer, f"{self}: {doing}"), digest, self)

    def read(self, digest: str, offset: int = 0) -> Iterator[bytes]:
        """A blob's bytes from an offset on; where the wire breaks, on from there. Checked when read from 0."""
        return download(self.wire, _checked(digest), offset, self._size(digest) if offset else None)

    def tags(self) -> list[str]:
        """Every tag but those that list referrers."""
        url, doing = self.wire.url("tags/list"), "listing tags"
        found: list[str] = []
        while True:
            with self.wire.ask("GET", url, doing, ok=(200, 404)) as answer:
                if answer.status_code == 404:
                    return []
                found += document(answer, f"{self}: {doing}").get("tags") or []
                following = answer.links.get("next", {}).get("url")
            if not following:
                return [tag for tag in dict.fromkeys(found) if not subjects.FALLBACK.fullmatch(tag)]
            url = url.join(following)

    def referrers(self, digest: str, kind: str) -> list[Descriptor]:
        """The referrers of an image, with artifact type and annotations."""
        return [each for each in subjects.listed(self.wire, _checked(digest)) if each.artifact_type == kind]

    def write(self, blob: Blob, media_type: str) -> Descriptor:
        """Skipped where it is there, mounted where another repository has it, else streamed."""
        digest = f"sha256:{blob.sha256}" if blob.sha256 else None
        if digest is None or blob.size <= SMALL or self._size(digest) != blob.size:
            digest = self._uploads.send(blob, digest, self.sources if blob.size > SMALL else ())
        return Descriptor(media_type, digest, blob.size)

    def put(self, manifest: ImageManifest, tag: str | None = None) -> Descriptor:
        """One PUT, by tag or digest; and, of a referrer, its listing where the registry does not list it itself."""
        if tag is not None and is_digest(tag):
            raise RegistryError(f"{self}: {tag} is a digest: tag an image with a name")
        content = manifest_bytes(manifest)
        if len(content) > LIMIT:
            raise RegistryError(f"{self}: an image manifest of {len(content)} bytes: {LIMIT} are allowed")
        bare = Descriptor(manifest.media_type, digest_of(content), len(content))
        for attempt in range(TRIES):
            try:
                listed = self._put(manifest, content, tag or bare.digest)
                break
            except BlobUnknown:  # Debian's registry says so of a blob that another writer is just writing too
                if attempt == TRIES - 1:
                    raise
                self.wire.sleep(0.02 * 2**attempt)
        if manifest.subject and not listed:
            subjects.add(self.wire, manifest.subject.digest, as_referrer(bare, manifest))
        return bare

    def delete(self, digest: str) -> None:
        """Remove an image, which takes its tags, then its referrers and theirs; blobs are the registry's to collect."""
        self._delete(_checked(digest))
        for referrer in subjects.listed(self.wire, digest):
            self.delete(referrer.digest)
        if (fallback := self.resolve(subjects.fallback_tag(digest))) is not None:
            self._delete(fallback.digest)

    def _put(self, manifest: ImageManifest, content: bytes, reference: str) -> bool:
        """Whether the registry lists the referrer by itself."""
        url, headers = self.wire.url(f"manifests/{reference}"), {"Content-Type": manifest.media_type}
        doing = f"pushing image manifest {reference}"
        with self.wire.ask("PUT", url, doing, ok=(201,), actions=PUSH, headers=headers, content=content) as answer:
            return "OCI-Subject" in answer.headers

    def _delete(self, digest: str) -> None:
        with self.wire.ask("DELETE", self.wire.url(f"manifests/{digest}"), f"deleting {digest}",
                           ok=(200, 202, 404), actions="delete,pull"):  # fmt: skip
            pass

    def _size(self, digest: str) -> int | None:
        """The size of a blob that is there, or None: one HEAD."""
        try:
            with self.wire.ask("HEAD", self.wire.url(f"blobs/{digest}"), f"asking for blob {digest}") as answer:
                return int(answer.headers.get("Content-Length", "-1"))
        except NotInRegistry:
            return None


def _checked(digest: str) -> str:
    if not is_digest(digest):
        raise RegistryError(f"{digest!r} is no digest: sha256: and 64 hex digits")
    return digest
