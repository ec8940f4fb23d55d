"""GitHub. docs.github.com/webhooks: "Validating webhook deliveries", "Webhook events and payloads"."""

from collections.abc import Sequence

from tandem.triggers.senders.call import Call, Proof, Reply, Said
from tandem.triggers.senders.proofs import after, signed
from tandem.triggers.senders.shapes import push, table, text, texts


class GitHub:
    """X-Hub-Signature-256 over the body; events push and ping."""

    def prove(self, call: Call, secrets: Sequence[str]) -> Proof | None:
        """By HMAC-SHA256, in hex."""
        return signed(call, secrets, [after(call.header("X-Hub-Signature-256"), "sha256=")])

    def delivery(self, call: Call) -> str:
        """The delivery's GUID. It is not signed, and one event may reach several hooks under the same one."""
        return call.header("X-GitHub-Delivery")

    def read(self, call: Call, document: object) -> Said:
        """A push to a branch."""
        event = call.header("X-GitHub-Event")
        if event != "push":
            return Reply("ping" if event == "ping" else f"event {event!r} is none of ours")
        repository = table(document, "repository")
        return push(texts(repository, "clone_url", "ssh_url", "html_url"), [text(document, "ref")], "GitHub's push")
