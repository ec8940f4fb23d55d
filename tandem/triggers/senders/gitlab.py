"""GitLab. docs.gitlab.com: "Webhooks", "Webhook events"; the signing token follows www.standardwebhooks.com."""

from base64 import b64encode
from collections.abc import Sequence

from tandem.triggers.senders.call import Call, Proof, Reply, Said
from tandem.triggers.senders.proofs import after, decoded, fingerprint, in_time, signed, told
from tandem.triggers.senders.shapes import push, table, text, texts

SIGNATURES = 4  # a sender that changes its key signs with the old and the new one


class GitLab:
    """X-Gitlab-Token, or webhook-signature where a signing token is set; event Push Hook."""

    def prove(self, call: Call, secrets: Sequence[str]) -> Proof | None:
        """By the token as it is, or by HMAC-SHA256 over id, time and body, in base64."""
        if claim := call.header("webhook-signature"):
            claims = [after(each, "v1,") for each in claim.split(" ")[:SIGNATURES]]
            time = call.header("webhook-timestamp")
            before = f"{call.header('webhook-id')}.{time}."
            found = signed(call, secrets, claims, before, _key, lambda digest: b64encode(digest).decode())
            return found if in_time(call, time) else None
        return told(secrets, call.header("X-Gitlab-Token"), fingerprint(call, self.delivery(call)))

    def delivery(self, call: Call) -> str:
        """The same through all tries of one delivery."""
        return call.header("Idempotency-Key") or call.header("webhook-id")

    def read(self, call: Call, document: object) -> Said:
        """A push to a branch; a push of tags is an event of its own."""
        event = call.header("X-Gitlab-Event")
        if event != "Push Hook":
            return Reply(f"event {event!r} is none of ours")
        project = table(document, "project")
        return push(texts(project, "git_http_url", "git_ssh_url", "web_url"), [text(document, "ref")], "GitLab's push")


def _key(secret: str) -> bytes:
    """A signing token is "whsec_" and the key in base64."""
    key = decoded(secret.removeprefix("whsec_")) if secret.startswith("whsec_") else None
    return secret.encode() if key is None else key
