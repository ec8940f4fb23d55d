"""Each sender's request, abbreviated from its own documentation: headers, body, and how it is signed."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

AFTER, BEFORE = "59b20b8d5c6ff8d09518216e87f19a1b1ef3a3b9", "6113728f27ae82c7b1a177c8d03f9e96e0adf246"


@dataclass(frozen=True)
class Sent:
    """One request."""

    sender: str
    headers: Mapping[str, str]
    body: bytes
    query: Mapping[str, str] = field(default_factory=dict)

    def signed(self, secret: str) -> "Sent":
        """The same, with this secret."""
        return SIGNED[self.sender](self, secret)

    def having(self, **headers: str) -> "Sent":
        """The same, with other headers ("_" stands for "-")."""
        changed = {name.replace("_", "-"): value for name, value in headers.items()}
        kept = {name: value for name, value in self.headers.items() if name.lower() not in map(str.lower, changed)}
        return Sent(self.sender, kept | changed, self.body, self.query)


def sha256(secret: str | bytes, body: bytes) -> str:
    key = secret if isinstance(secret, bytes) else secret.encode()
    return hmac.new(key, body, hashlib.sha256).hexdigest()


def github(branch: str = "main", name: str = "acme/shop", event: str = "push") -> Sent:
    """docs.github.com, "Webhook events and payloads": push."""
    repository = {
        "id": 186853002,
        "full_name": name,
        "html_url": f"https://github.com/{name}",
        "clone_url": f"https://github.com/{name}.git",
        "ssh_url": f"git@github.com:{name}.git",
        "pushed_at": 1557933657,
    }
    document = {"ref": f"refs/heads/{branch}", "before": BEFORE, "after": AFTER, "repository": repository}
    document |= {"pusher": {"name": "ann"}, "created": False, "deleted": False, "commits": [{"id": AFTER}]}
    if event == "ping":
        document = {"zen": "Design for failure.", "hook_id": 1, "repository": repository}
    headers = {"X-GitHub-Event": event, "X-GitHub-Delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958"}
    return Sent("github", headers | JSON, json.dumps(document).encode())


def gitea(branch: str = "main", name: str = "acme/shop", event: str = "push") -> Sent:
    """docs.gitea.com, "Webhooks"."""
    repository = {
        "clone_url": f"https://gitea.example.org/{name}.git",
        "ssh_url": f"ssh://git@gitea.example.org:2222/{name}.git",
        "html_url": f"https://gitea.example.org/{name}",
    }
    document = {"ref": f"refs/heads/{branch}", "before": BEFORE, "after": AFTER, "repository": repository}
    headers = {"X-Gitea-Event": event, "X-Gitea-Delivery": "f6266f16-1bf3-46a5-9ea4-602e06ead473"}
    return Sent("gitea", headers | JSON, json.dumps(document).encode())


def gitlab(branch: str = "main", name: str = "acme/shop", event: str = "Push Hook") -> Sent:
    """docs.gitlab.com, "Webhook events": push events, tag events."""
    project = {
        "web_url": f"https://gitlab.example.org/{name}",
        "git_ssh_url": f"git@gitlab.example.org:{name}.git",
        "git_http_url": f"https://gitlab.example.org/{name}.git",
        "default_branch": "main",
    }
    refs = "tags" if event.startswith("Tag") else "heads"
    document = {"object_kind": "push", "ref": f"refs/{refs}/{branch}", "checkout_sha": AFTER, "project": project}
    headers = {"X-Gitlab-Event": event, "Idempotency-Key": "f5e5f430-f57b-4e6e-9fac-d9128cd7232f"}
    return Sent("gitlab", headers | JSON, json.dumps(document).encode())


def azure_devops(branch: str = "main", name: str = "acme/tools/_git/shop", event: str = "git.push") -> Sent:
    """learn.microsoft.com, "Service hooks events": Code pushed."""
    update = {"name": f"refs/heads/{branch}", "oldObjectId": BEFORE, "newObjectId": AFTER}
    repository = {"name": "shop", "remoteUrl": f"https://acme@dev.azure.com/{name}", "defaultBranch": "refs/heads/main"}
    document = {
        "id": "03c164c2-8912-4d5e-8009-3707d5f83734",
        "eventType": event,
        "publisherId": "tfs",
        "resource": {"refUpdates": [update], "repository": repository, "pushId": 14},
    }
    return Sent("azure-devops", {"Content-Type": "application/json; charset=utf-8"}, json.dumps(document).encode())


def bitbucket(branch: str = "main", name: str = "acme/shop", event: str = "repo:push") -> Sent:
    """support.atlassian.com, "Event payloads": Push."""
    change = {"new": {"type": "branch", "name": branch, "target": {"hash": AFTER}}, "created": False, "forced": False}
    repository = {"full_name": name, "links": {"html": {"href": f"https://bitbucket.org/{name}"}}}
    document = {"actor": {"nickname": "ann"}, "repository": repository, "push": {"changes": [change]}}
    headers = {"X-Event-Key": event, "X-Request-UUID": "8c9c1a66-7f4f-4b5a-9f0a-8a3e4f0c7d01", "X-Attempt-Number": "1"}
    return Sent("bitbucket", headers | JSON, json.dumps(document).encode())


def event_grid(url: str = "https://acme.blob.core.windows.net/models/shop/latest.json", event: str = "") -> Sent:
    """learn.microsoft.com, "Azure Blob Storage as an Event Grid source": Event Grid's schema."""
    document = {
        "topic": "/subscriptions/0/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/acme",
        "subject": "/blobServices/default/containers/models/blobs/shop/latest.json",
        "eventType": event or "Microsoft.Storage.BlobCreated",
        "id": "831e1650-001e-001b-66ab-eeb76e069631",
        "data": {"api": "PutBlockList", "contentLength": 524288, "blobType": "BlockBlob", "url": url},
    }
    return Sent("event-grid", {"aeg-event-type": "Notification"} | JSON, json.dumps([document]).encode())


def generic(
    branch: str = "main", name: str = "https://git.example.org/acme/shop", time: int | str = 1_800_000_000
) -> Sent:
    """docs/webhooks.md."""
    document = {"repository": name, "ref": f"refs/heads/{branch}", "after": AFTER}
    return Sent("generic", {"X-Tandem-Timestamp": str(time)} | JSON, json.dumps(document).encode())


def standard(sent: Sent, secret: str, time: int = 1_800_000_000, name: str = "msg_1") -> Sent:
    """GitLab with a signing token; www.standardwebhooks.com, "Symmetric signatures"."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(key, f"{name}.{time}.".encode() + sent.body, hashlib.sha256).digest()
    signature = f"v1,{base64.b64encode(digest).decode()}"
    return sent.having(webhook_id=name, webhook_timestamp=str(time), webhook_signature=f"v1a,zzz {signature}")


JSON = {"Content-Type": "application/json"}
PUSHES: Mapping[str, Callable[[], Sent]] = {
    "github": github,
    "gitea": gitea,
    "gitlab": gitlab,
    "azure-devops": azure_devops,
    "bitbucket": bitbucket,
    "event-grid": event_grid,
    "generic": generic,
}
SIGNED: Mapping[str, Callable[[Sent, str], Sent]] = {
    "github": lambda sent, secret: sent.having(X_Hub_Signature_256=f"sha256={sha256(secret, sent.body)}"),
    "gitea": lambda sent, secret: sent.having(X_Gitea_Signature=sha256(secret, sent.body)),
    "gitlab": lambda sent, secret: sent.having(X_Gitlab_Token=secret),
    "azure-devops": lambda sent, secret: sent.having(
        Authorization=f"Basic {base64.b64encode(f'anyone:{secret}'.encode()).decode()}"
    ),
    "bitbucket": lambda sent, secret: sent.having(X_Hub_Signature=f"sha256={sha256(secret, sent.body)}"),
    "event-grid": lambda sent, secret: Sent(sent.sender, sent.headers, sent.body, {"code": secret}),
    "generic": lambda sent, secret: sent.having(
        X_Tandem_Signature="sha256="
        + sha256(secret, f"{sent.headers.get('X-Tandem-Timestamp', '')}.".encode() + sent.body)
    ),
}
