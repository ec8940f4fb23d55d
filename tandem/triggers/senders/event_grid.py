"""Azure Event Grid: a model was published. learn.microsoft.com/azure/event-grid: "Webhook event delivery",
"Azure Blob Storage as an Event Grid source"; CloudEvents 1.0, "HTTP 1.1 Web Hooks for Event Delivery".
"""

from collections.abc import Sequence

from tandem.triggers.senders.call import Blobs, Call, Malformed, Proof, Reply, Said
from tandem.triggers.senders.proofs import fingerprint, told
from tandem.triggers.senders.shapes import MOST, text

CREATED, VALIDATION = "Microsoft.Storage.BlobCreated", "Microsoft.EventGrid.SubscriptionValidationEvent"


class EventGrid:
    """The secret is the address' `code`, or a delivery property X-Tandem-Secret. Both schemas of events."""

    def prove(self, call: Call, secrets: Sequence[str]) -> Proof | None:
        """By the secret as it is."""
        claim = call.header("X-Tandem-Secret") or call.asked("code")
        return told(secrets, claim, fingerprint(call, ""))

    def delivery(self, call: Call) -> str:
        """Each event has an id of its own, in the body."""
        return ""

    def read(self, call: Call, document: object) -> Said:
        """The blobs that were written; or, once a subscription, the code that it wants to hear again."""
        events = document if isinstance(document, list) else [document]
        urls = []
        for event in events[:MOST]:
            kind = text(event, "eventType") or text(event, "type")  # CloudEvents has `type`
            if kind == VALIDATION:
                code = text(event, "data", "validationCode")
                return Reply("the subscription's handshake", {"validationResponse": code})
            if not kind:
                raise Malformed("an event without a type")
            if kind == CREATED:
                urls.append(text(event, "data", "url"))
        if not all(urls):
            raise Malformed("a blob without its URL")
        return Blobs(tuple(urls)) if urls else Reply("no blob was created")
