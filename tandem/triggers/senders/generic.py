"""Anything that can run curl and openssl: docs/webhooks.md shows how."""

from collections.abc import Sequence

from tandem.triggers.senders.call import Apps, Call, Proof, Said
from tandem.triggers.senders.proofs import after, in_time, signed
from tandem.triggers.senders.shapes import push, text, texts


class Generic:
    """X-Tandem-Signature over X-Tandem-Timestamp, a dot and the body."""

    def prove(self, call: Call, secrets: Sequence[str]) -> Proof | None:
        """By HMAC-SHA256, in hex; the time must be near ours."""
        time, claim = call.header("X-Tandem-Timestamp"), after(call.header("X-Tandem-Signature"), "sha256=")
        found = signed(call, secrets, [claim], f"{time}.")
        return found if in_time(call, time) else None

    def delivery(self, call: Call) -> str:
        """Whatever the sender likes to call it."""
        return call.header("X-Tandem-Delivery")

    def read(self, call: Call, document: object) -> Said:
        """{"repository": …, "ref": "refs/heads/…"}, or {"app": …}."""
        if app := text(document, "app"):
            return Apps((app,))
        return push(texts(document, "repository"), [text(document, "ref")], "write repository and ref, or app")
