"""Azure DevOps. learn.microsoft.com/azure/devops/service-hooks: "Webhooks", "Service hooks events" (git.push)."""

from collections.abc import Sequence

from tandem.triggers.senders.call import Call, Proof, Reply, Said
from tandem.triggers.senders.proofs import after, decoded, fingerprint, told
from tandem.triggers.senders.shapes import push, several, table, text, texts


class AzureDevOps:
    """Basic authentication, whose password is the secret; the user's name is not looked at. Event git.push."""

    def prove(self, call: Call, secrets: Sequence[str]) -> Proof | None:
        """By the password as it is."""
        pair = decoded(after(call.header("Authorization"), "Basic ")) or b""
        password = pair.partition(b":")[2].decode("utf-8", "replace")
        return told(secrets, password, fingerprint(call, ""))

    def delivery(self, call: Call) -> str:
        """It stands in the body alone."""
        return ""

    def read(self, call: Call, document: object) -> Said:
        """A push; without resource details ("none", "minimal") it names no repository, and that is malformed."""
        event = text(document, "eventType")
        if event != "git.push":
            return Reply(f"event {event!r} is none of ours")
        repository = table(document, "resource", "repository")
        refs = [text(update, "name") for update in several(document, "resource", "refUpdates")]
        addresses = texts(repository, "remoteUrl", "sshUrl", "webUrl")
        return push(addresses, refs, "set 'Resource details to send' of the hook to All")
