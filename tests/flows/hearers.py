"""Who hears of the tiny app: a web server and a mail server; and the clock that telling reads."""

import os
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tandem.flows import deliver, rounds
from tests.messages.doubles import Web

HEARD = '[messages]\nto = [{ env = "TEAM_CHAT" }]\nauthor = { env = "SMTP" }'
SECRETS = ("hush-hush-7", "sekret-path-9", "walter", "tok-en-5")


def titles(team: Web) -> list[str]:
    return [posted.json()["title"] for posted in team.posted]


class Clock:
    """The clock that telling reads, which a test may move."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead = timedelta()
        for module in (deliver, rounds):
            monkeypatch.setattr(module, "now", lambda: datetime.now(UTC) + self.ahead)

    def goes_on(self, **span: float) -> None:
        self.ahead += timedelta(**span)


def assert_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    """Neither in this process' logs, nor in what Prefect keeps: logs and artifacts."""
    api = os.environ["PREFECT_API_URL"]
    kept = httpx.post(f"{api}/logs/filter", json={"limit": 200, "sort": "TIMESTAMP_DESC"}).text
    kept += httpx.post(f"{api}/artifacts/filter", json={"limit": 50}).text
    assert not any(secret in kept + caplog.text for secret in SECRETS)
