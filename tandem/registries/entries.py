"""What an image layout's index.json lists, as pure functions (image-spec, image-layout.md).

An entry is a descriptor: with `org.opencontainers.image.ref.name` it is a tag; with `dev.tandem.subject`, a
referrer of that image; with `dev.tandem.untagged`, an image that Tandem put and nobody ever tagged.
"""

from dataclasses import replace

from tandem.manifests import Index
from tandem.records import Descriptor, ImageManifest

TAG = "org.opencontainers.image.ref.name"
SUBJECT = "dev.tandem.subject"
UNTAGGED = "dev.tandem.untagged"


def tagged(index: Index, tag: str) -> Descriptor | None:
    """The entry that a tag names."""
    return next((entry for entry in index.manifests if entry.annotations.get(TAG) == tag), None)


def tags(index: Index) -> list[str]:
    """Every tag."""
    return [tag for entry in index.manifests if (tag := entry.annotations.get(TAG))]


def with_manifest(index: Index, bare: Descriptor, manifest: ImageManifest, tag: str | None) -> Index:
    """The index with this image manifest in it, under `tag` if there is one.

    What the tag named before stays, untagged, as it does in a registry.
    """
    entries = list(index.manifests)
    if tag and (old := tagged(index, tag)):
        entries.remove(old)
        if all(entry.digest != old.digest for entry in entries):
            entries.append(replace(old, annotations=_without_tag(old)))
    if tag:
        entries = [entry for entry in entries if entry.digest != bare.digest or TAG in entry.annotations]
        entries.append(_entry(bare, manifest, {TAG: tag}))
    elif all(entry.digest != bare.digest for entry in entries):
        entries.append(_entry(bare, manifest, {} if manifest.subject else {UNTAGGED: "true"}))
    return replace(index, manifests=tuple(entries))


def without(index: Index, doomed: set[str]) -> Index:
    """The index without any entry of these digests."""
    return replace(index, manifests=tuple(entry for entry in index.manifests if entry.digest not in doomed))


def _without_tag(entry: Descriptor) -> dict[str, str]:
    return {key: text for key, text in entry.annotations.items() if key != TAG}


def as_referrer(bare: Descriptor, manifest: ImageManifest) -> Descriptor:
    """A referrer's descriptor as the referrers API lists it (distribution-spec): with kind and annotations."""
    kind = manifest.artifact_type or manifest.config.media_type
    return replace(bare, artifact_type=kind, annotations=manifest.annotations)


def _entry(bare: Descriptor, manifest: ImageManifest, marks: dict[str, str]) -> Descriptor:
    if manifest.subject is None:
        return replace(bare, annotations=marks)
    listed = as_referrer(bare, manifest)
    return replace(listed, annotations={**listed.annotations, SUBJECT: manifest.subject.digest, **marks})
