"""Evidence: immutable facts about a candidate, kept as OCI referrers of its digest (image-spec, manifest.md, subject).

Each is an artifact manifest with an empty config and one layer, the fact itself. Nothing in it comes from a clock,
so that the same fact attached again is the same manifest, and is there once.
"""

from collections.abc import Mapping
from dataclasses import replace

from tandem.documents import canonical
from tandem.errors import RegistryError
from tandem.manifests import EMPTY, Index, blob_of, parse
from tandem.records import Descriptor, ImageManifest
from tandem.seams import Registry

TESTS = "application/vnd.tandem.tests.v1+json"
LOCK = "application/vnd.tandem.lock.v1+text"
PROVENANCE = "application/vnd.tandem.provenance.v1+json"
SBOM = "application/vnd.cyclonedx+json"  # the media type that IANA knows CycloneDX by
LIMIT = 64 * 1024 * 1024  # bytes; read whole, and no test table or SBOM is larger


def attach(
    registry: Registry,
    subject: Descriptor,
    kind: str,
    content: bytes | Mapping[str, object],
    annotations: Mapping[str, str] | None = None,
) -> Descriptor:
    """Put a fact of artifact type `kind` beside the image `subject`; the descriptor of its manifest.

    A mapping is stored as canonical JSON. Raises RegistryError, Unreachable.
    """
    fact = content if isinstance(content, bytes) else canonical(dict(content))
    if len(fact) > LIMIT:
        raise RegistryError(f"{registry}: evidence {kind} of {len(fact)} bytes: {LIMIT} are allowed")
    manifest = ImageManifest(
        config=registry.write(blob_of(b"{}", "config.json"), EMPTY),
        layers=(registry.write(blob_of(fact, kind), kind),),
        annotations=annotations or {},
        subject=replace(subject, annotations={}, artifact_type=None, platform=None),
        artifact_type=kind,
    )
    return registry.put(manifest)


def find(registry: Registry, digest: str, kind: str) -> list[bytes]:
    """Every fact of artifact type `kind` about the image `digest`, in the order of their manifests' digests."""
    return [_fact(registry, each) for each in sorted(registry.referrers(digest, kind), key=lambda each: each.digest)]


def _fact(registry: Registry, referrer: Descriptor) -> bytes:
    what = f"{registry}: evidence {referrer.digest}"
    manifest = parse(registry.manifest(referrer.digest), what)
    if isinstance(manifest, Index) or len(manifest.layers) != 1 or manifest.layers[0].size > LIMIT:
        raise RegistryError(f"{what}: not one layer of at most {LIMIT} bytes: Tandem did not attach this")
    return b"".join(registry.read(manifest.layers[0].digest))
