"""How a call proves that it knows a secret: each in a time that does not tell how near a guess came."""

import hashlib
import hmac
from base64 import b64decode
from collections.abc import Callable, Sequence

from tandem.triggers.senders.call import Call, Proof

WINDOW = 300.0  # seconds between a sender's clock and ours where the time is signed


def signed(
    call: Call,
    secrets: Sequence[str],
    claims: Sequence[str],
    before: str = "",
    key: Callable[[str], bytes] = str.encode,
    write: Callable[[bytes], str] = bytes.hex,
) -> Proof | None:
    """The secret under which one of the claims is the HMAC-SHA256 (RFC 2104) of `before` and the body."""
    digests = [(secret, hmac.new(key(secret), before.encode("utf-8", "replace"), hashlib.sha256)) for secret in secrets]
    for piece in call.pieces():
        for _, digest in digests:
            digest.update(piece)
    found = None
    for secret, digest in digests:
        due = write(digest.digest())
        for claim in claims:
            if equal(claim, due):
                found = Proof(secret, due)
    return found


def told(secrets: Sequence[str], claim: str, mark: str) -> Proof | None:
    """The secret that was sent as it is."""
    found = None
    for secret in secrets:
        if equal(claim, secret):
            found = Proof(secret, mark)
    return found


def equal(one: str, other: str) -> bool:
    """Compared in constant time, whatever characters somebody sent."""
    return hmac.compare_digest(one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass"))


def fingerprint(call: Call, delivery: str) -> str:
    """A mark for a call that is not signed: its sender's own, else the body's hash."""
    if delivery:
        return delivery
    digest = hashlib.sha256()
    for piece in call.pieces():
        digest.update(piece)
    return digest.hexdigest()


def after(claim: str, prefix: str) -> str:
    """What follows the prefix: "sha256=…", "Basic …"; "" where something else stands there."""
    return claim[len(prefix) :] if claim[: len(prefix)].lower() == prefix.lower() else ""


def in_time(call: Call, timestamp: str) -> bool:
    """Whether signed Unix seconds are near our clock."""
    return timestamp.isascii() and timestamp.isdigit() and abs(call.now - int(timestamp[:15])) <= WINDOW


def decoded(text: str) -> bytes | None:
    """Base64 as people and programs write it; None where it is none."""
    try:
        return b64decode(text, validate=True)
    except ValueError:
        return None
