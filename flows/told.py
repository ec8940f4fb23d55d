"""What was told already: an artifact of Prefect for each subject, which is the message itself on its run's page.

So it survives a kill, is seen by people, and needs no store of our own. It is written after the message is sent: a kill
in between tells twice, which is better than never.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import cast
from urllib.parse import quote

from tandem.messages.message import Message
from tandem.triggers.api import Api, ApiError

from . import cards


@dataclass(frozen=True)
class Told:
    """The last message on a subject: `of` says of what, `missing` who did not get it in `tries` attempts."""

    of: str
    run: str
    at: datetime
    missing: tuple[str, ...] = ()
    tries: int = 1


def read(api: Api, subject: str) -> Told | None:
    """The last that was told on this subject, or None. Raises Unreachable, ApiError."""
    try:
        found = cast(Mapping[str, object], api.get(f"artifacts/{quote(_key(subject))}/latest"))
    except ApiError as error:
        if error.status == 404:
            return None
        raise
    facts = cast(Mapping[str, str], found.get("metadata_") or {})
    missing = tuple(name for name in facts.get("missing", "").split(" ") if name)
    at = datetime.fromisoformat(str(found["created"]).replace("Z", "+00:00"))
    return Told(facts.get("of", ""), str(found.get("flow_run_id") or ""), at, missing, int(facts.get("tries", "1")))


def write(api: Api, subject: str, told: Told, message: Message) -> None:
    """Remember that this was told."""
    text = message.text().replace("```", "'''")
    missing = f"\n\nNot delivered to: {', '.join(told.missing)}" if told.missing else ""
    body = {
        "key": _key(subject),
        "type": "markdown",
        "description": f"Told: {cards.escape(message.subject)}",
        "data": f"## {cards.escape(message.subject)}\n\n```text\n{text}\n```{missing}",
        "metadata_": {"of": told.of[:400], "missing": " ".join(told.missing)[:400], "tries": str(told.tries)},
        "flow_run_id": told.run or None,
    }
    api.post("artifacts/", body)


def _key(subject: str) -> str:
    """Names may hold dashes: app a-b's environment c is not app a's environment b-c."""
    return f"{cards.key(f'told-{subject}')}-{hashlib.sha256(subject.encode()).hexdigest()[:6]}"
