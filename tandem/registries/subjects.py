"""Referrers in a registry: by its referrers API, or where it has none by the tag schema (distribution-spec).

The tag schema is read, change, write, without a compare-and-swap: what was written is read again, and written again
where another writer's change took its place meanwhile.
"""

import re

from tandem.documents import canonical
from tandem.errors import NotInRegistry, RegistryError
from tandem.manifests import INDEX, Index, descriptor_json, parse
from tandem.records import Descriptor
from tandem.registries.answers import BlobUnknown, small
from tandem.registries.wire import Wire

FALLBACK = re.compile(r"sha256-[0-9a-f]{64}")
TRIES = 8
PUSH = "pull,push"


def fallback_tag(digest: str) -> str:
    """The tag under which an image's referrers are listed where there is no API."""
    return digest.replace(":", "-")


def listed(wire: Wire, digest: str) -> list[Descriptor]:
    """Every referrer of an image, by the API or the tag."""
    doing = f"asking for the referrers of {digest}"
    url = wire.url(f"referrers/{digest}")
    found: list[Descriptor] = []
    while True:
        with wire.ask("GET", url, doing, ok=(200, 404, 405), headers={"Accept": INDEX}) as answer:
            kind = answer.headers.get("Content-Type", "").partition(";")[0]
            if answer.status_code != 200 or kind != INDEX:
                return list(_fallback(wire, digest).manifests)
            page = parse(small(answer, f"{wire}: {doing}"), f"{wire}: {doing}")
            found += page.manifests if isinstance(page, Index) else ()
            following = answer.links.get("next", {}).get("url")
            if not following:
                return found
            url = url.join(following)


def add(wire: Wire, subject: str, referrer: Descriptor) -> None:
    """List a referrer under the subject's tag; call it where the registry did not do so itself."""
    for attempt in range(TRIES):
        before = _fallback(wire, subject)
        if any(each.digest == referrer.digest for each in before.manifests):
            return
        entries = [descriptor_json(each) for each in (*before.manifests, referrer)]
        content = canonical({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})
        url = wire.url(f"manifests/{fallback_tag(subject)}")
        try:
            with wire.ask("PUT", url, f"listing {referrer.digest}", ok=(201,), actions=PUSH,
                          headers={"Content-Type": INDEX}, content=content):  # fmt: skip
                pass
        except BlobUnknown:  # Debian's registry says so of a referrer that another writer is just attaching too
            if attempt == TRIES - 1:
                raise
        wire.sleep(0.01 * 2**attempt)
    if all(each.digest != referrer.digest for each in _fallback(wire, subject).manifests):
        raise RegistryError(f"{wire}: other writers list referrers of {subject} at the same time: try again")


def _fallback(wire: Wire, digest: str) -> Index:
    doing = f"asking for the tag of the referrers of {digest}"
    try:
        with wire.ask("GET", wire.url(f"manifests/{fallback_tag(digest)}"), doing, headers={"Accept": INDEX}) as answer:
            found = parse(small(answer, f"{wire}: {doing}"), f"{wire}: {doing}")
            return found if isinstance(found, Index) else Index(())
    except NotInRegistry:
        return Index(())
