"""Gitea and Forgejo. docs.gitea.com/usage/webhooks."""

from collections.abc import Sequence

from tandem.triggers.senders.call import Call, Proof, Reply, Said
from tandem.triggers.senders.proofs import signed
from tandem.triggers.senders.shapes import push, table, text, texts


class Gitea:
    """X-Gitea-Signature over the body; event push. Its test delivery is a push."""

    def prove(self, call: Call, secrets: Sequence[str]) -> Proof | None:
        """By HMAC-SHA256, in hex without a prefix."""
        return signed(call, secrets, [call.header("X-Gitea-Signature")])

    def delivery(self, call: Call) -> str:
        """The delivery's UUID."""
        return call.header("X-Gitea-Delivery")

    def read(self, call: Call, document: object) -> Said:
        """A push to a branch."""
        event = call.header("X-Gitea-Event")
        if event != "push":
            return Reply(f"event {event!r} is none of ours")
        repository = table(document, "repository")
        return push(texts(repository, "clone_url", "ssh_url", "html_url"), [text(document, "ref")], "Gitea's push")
