"""What reconcile's rounds find and tell: news of killed runs, services that were down, late nights, lasting trouble."""

import re
import time
from datetime import UTC, datetime, timedelta

import pytest

from tandem.errors import TandemError
from tandem.flows import backends, rounds
from tandem.flows.integrate import integrate
from tandem.flows.ops import status
from tandem.flows.reconcile import reconcile
from tandem.flows.release import release
from tandem.settings import Settings
from tandem.triggers.api import connect
from tests.flows.hearers import HEARD, Clock, assert_no_secret, titles
from tests.messages.doubles import Mail, Web


@pytest.mark.more(HEARD)
def test_a_service_that_is_down_costs_a_warning_and_is_told_later(
    line, team: Web, author: Mail, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    candidate = integrate("tiny")
    team.answers = [(503, {}, b"<h1>away</h1>")]
    assert release("tiny", "local").candidate == candidate
    assert "TEAM_CHAT (json 127.0.0.1) did not get the message" in caplog.text and "HTTP 503" in caplog.text
    settings, state = Settings.load("tiny"), status("tiny")[0].environments[0].state
    team.answers = [(200, {}, b"{}")]
    clock = Clock(monkeypatch)
    rounds.catch_up(settings, {"local": state})
    assert len(team.posted) == 1, "not in the same minute"
    clock.goes_on(minutes=5)
    rounds.catch_up(settings, {"local": state})
    rounds.catch_up(settings, {"local": state})
    assert len(team.posted) == 2 and titles(team)[1] == f"tiny: local runs {candidate.tag}"
    assert_no_secret(caplog)


@pytest.mark.more(HEARD)
def test_what_a_killed_run_recorded_and_did_not_tell_is_told_within_minutes(
    line, team: Web, author: Mail, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate = integrate("tiny")
    team.delay = 60.0
    run = line.start("from tandem.flows.release import release; release('tiny', 'local')")
    deadline = time.monotonic() + 240
    while not team.posted:
        assert run.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    run.kill()
    run.wait()
    team.delay, settings, clock = 0.0, Settings.load("tiny"), Clock(monkeypatch)
    state = backends.target(settings, "local").state().value
    assert state.history[0].outcome == "released", "it was told after it was recorded"
    rounds.catch_up(settings, {"local": state})
    assert len(team.posted) == 1, "a run that lives is given two minutes"
    line.lease_is_over()  # not before: asking Prefect may take one of the two
    clock.goes_on(minutes=5)
    rounds.catch_up(settings, {"local": state})
    rounds.catch_up(settings, {"local": state})
    assert titles(team) == [f"tiny: local runs {candidate.tag}"] * 2, "twice is better than never"


@pytest.mark.more(HEARD)
def test_old_news_is_no_news(line, team: Web, author: Mail, monkeypatch: pytest.MonkeyPatch) -> None:
    toml = line.root / "deployments" / "tiny" / "app.toml"
    heard = toml.read_text()
    toml.write_text(heard.replace(HEARD, ""))
    integrate("tiny")
    release("tiny", "local")
    toml.write_text(heard)
    Clock(monkeypatch).goes_on(days=2)
    rounds.catch_up(Settings.load("tiny"), {"local": status("tiny")[0].environments[0].state})
    said = [title for title in titles(team) if "that was due at" not in title]  # other tests' nights, two days late now
    assert said == [], "who switches messages on does not hear of last week"


@pytest.mark.more(HEARD)
def test_trouble_that_lasts_is_told_once(line, team: Web, author: Mail, monkeypatch: pytest.MonkeyPatch) -> None:
    (line.root / "code").rename(line.root / "gone")
    clock = Clock(monkeypatch)
    for minutes in (0, 0, 0, 12, 0):
        clock.goes_on(minutes=minutes)
        with pytest.raises(TandemError, match="tiny"):
            reconcile("tiny")
        assert len(team.posted) == (1 if clock.ahead else 0), "what passes by itself is no message"
    said = team.posted[0].json()
    # twelve by the clock that was moved, and what the rounds took
    assert re.fullmatch(r"tiny: Tandem has been in trouble for 1[2-5] minutes", said["title"])
    assert "code" in said["message"] and "tandem check tiny" in said["message"]


@pytest.mark.more(HEARD)
def test_a_night_that_did_not_begin_is_told_once(
    line, team: Web, author: Mail, monkeypatch: pytest.MonkeyPatch
) -> None:
    due = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=2)
    schedule_release("tiny", due)
    clock, settings = Clock(monkeypatch), Settings.load("tiny")
    rounds.catch_up(settings, {})
    clock.goes_on(minutes=9)
    rounds.catch_up(settings, {})
    assert team.posted == []
    clock.goes_on(minutes=5)
    rounds.catch_up(settings, {})
    rounds.catch_up(settings, {})
    (title,) = titles(team)
    assert title.startswith(f"tiny: the release to local that was due at {due:%H:%M} UTC is 1")


@pytest.mark.more(HEARD)
def test_a_night_that_began_late_is_told_with_what_it_brought(
    line, team: Web, author: Mail, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate = integrate("tiny")
    Clock(monkeypatch).goes_on(minutes=43)
    release("tiny", "local", unattended=True)
    late, runs = titles(team)
    assert re.search(r"UTC is 4[3-6] minutes late$", late) and runs == f"tiny: local runs {candidate.tag}"
    assert "Nothing, it has begun." in team.posted[0].json()["message"]


def schedule_release(app: str, due: datetime) -> None:
    """A nightly release that Prefect's own scheduler has put down for this time, and that no worker takes."""
    api = connect()
    flow = api.post("flows/", {"name": "release"})
    cron = f"{due.minute} {due.hour} {due.day} {due.month} *"
    nightly = api.post(
        "deployments/",
        {
            "name": f"{app}-local-nightly-{due:%H%M%S}",
            "flow_id": flow["id"],
            "parameters": {"app": app, "environment": "local"},
            "schedules": [{"schedule": {"cron": cron, "timezone": "UTC"}, "active": True}],
        },
    )
    span = {"start_time": due - timedelta(minutes=1), "end_time": due + timedelta(minutes=1)}
    api.post(f"deployments/{nightly['id']}/schedule", {name: time.isoformat() for name, time in span.items()})
