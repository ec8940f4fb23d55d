"""Bitbucket Cloud and Data Center. support.atlassian.com/bitbucket-cloud: "Manage webhooks", "Event payloads"."""

from collections.abc import Sequence

from tandem.triggers.senders.call import Call, Proof, Reply, Said
from tandem.triggers.senders.proofs import after, signed
from tandem.triggers.senders.shapes import HEADS, push, several, table, text

CLOUD, DATA_CENTER, PING = "repo:push", "repo:refs_changed", "diagnostics:ping"


class Bitbucket:
    """X-Hub-Signature over the body; events repo:push (Cloud) and repo:refs_changed (Data Center)."""

    def prove(self, call: Call, secrets: Sequence[str]) -> Proof | None:
        """By HMAC-SHA256, in hex."""
        return signed(call, secrets, [after(call.header("X-Hub-Signature"), "sha256=")])

    def delivery(self, call: Call) -> str:
        """The request's UUID."""
        return call.header("X-Request-UUID") or call.header("X-Request-Id")

    def read(self, call: Call, document: object) -> Said:
        """A push; what was deleted has no new name and is told by its old one."""
        event, links = call.header("X-Event-Key"), table(document, "repository", "links")
        if event == CLOUD:
            changes = several(document, "push", "changes")
            moved = [table(change, "new") or table(change, "old") for change in changes]
            refs = [(HEADS if text(ref, "type") == "branch" else "other:") + text(ref, "name") for ref in moved]
        elif event == DATA_CENTER:
            refs = [text(change, "ref", "id") for change in several(document, "changes")]
        else:
            return Reply("ping" if event == PING else f"event {event!r} is none of ours")
        clones = [text(each, "href") for each in several(links, "clone")]
        pages = [
            text(each, "href") for each in several(links, "self")
        ]  # Data Center's: …/projects/KEY/repos/NAME/browse
        return push(tuple(filter(None, [text(links, "html", "href"), *clones, *pages])), refs, "Bitbucket's push")
