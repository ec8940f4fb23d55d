"""What a Kubernetes API says no with (meta/v1 Status), in words that say what to do."""

import json
from dataclasses import dataclass

from tandem.errors import TandemError


@dataclass(frozen=True)
class Cause:
    """One field that was refused, and why."""

    field: str
    message: str


class ApiRefused(TandemError):
    """An API server, or Azure's before it, said no: its HTTP status, its message, and the fields it names."""

    def __init__(self, status: int, message: str, causes: tuple[Cause, ...] = ()) -> None:
        super().__init__(message)
        self.status, self.causes = status, causes

    @property
    def missing(self) -> bool:
        """Whether there is no such thing."""
        return self.status == 404

    @property
    def conflict(self) -> bool:
        """Whether others own a field, or it was changed meanwhile."""
        return self.status == 409


@dataclass(frozen=True)
class Remedy:
    """What to do where a cluster does not know who is asking, and where it does not let them."""

    unknown: str = "its credentials ended or are another cluster's; log in again"
    forbidden: str = "the Role in docs/kubernetes-role.yaml grants it"


AS_USUAL = Remedy()


def refused(cluster: str, status: int, content: bytes, remedy: Remedy) -> ApiRefused:
    """The error of an answer's status and body."""
    try:
        document = json.loads(content)
        message, details = str(document.get("message", "")), document.get("details") or {}
    except (ValueError, AttributeError):
        message, details = content[:300].decode(errors="replace"), {}
    causes = tuple(Cause(each.get("field", ""), each.get("message", "")) for each in details.get("causes") or ())
    if status == 401:
        message = f"{cluster} does not know who is asking: {remedy.unknown}"
    elif status == 403 and "cannot" in message:
        message = f"{message}: {remedy.forbidden}"
    return ApiRefused(status, message, causes)
