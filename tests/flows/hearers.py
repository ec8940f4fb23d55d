"""Who hears of the tiny app: a web server and a mail server; and the clock that telling reads."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from tandem.flows import deliver, rounds
from tandem.triggers.api import connect
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
    api = connect()
    kept = json.dumps(api.post("logs/filter", {"limit": 200, "sort": "TIMESTAMP_DESC"}))
    kept += json.dumps(api.post("artifacts/filter", {"limit": 50}))
    assert not any(secret in kept + caplog.text for secret in SECRETS)
