"""What Tandem starts by itself is started once, and again, ever more slowly, where it failed by chance."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from prefect import flow

from tandem.flows import attempts, stages
from tandem.flows.attempts import Standing
from tandem.triggers import runs
from tandem.triggers.api import connect
from tests.flows.asked import Asked, deploy


@flow
def sleepy(what: str = "") -> None:
    """Nothing."""


@pytest.fixture
def asked(server: str, monkeypatch: pytest.MonkeyPatch) -> Asked:
    monkeypatch.setenv("PREFECT_API_URL", server)
    return deploy(sleepy, "once")


@pytest.fixture
def once(asked: Asked, request: pytest.FixtureRequest) -> Callable[..., Standing]:
    """Asks for the same thing so many seconds from now, or from another time."""

    def ask(later: float = 0, since: datetime | None = None) -> Standing:
        now = (since or stages.now()) + timedelta(seconds=later)
        name = request.node.name
        return attempts.once("sleepy/once", {"what": name}, name, now, lambda run: "guilty" * ("bad" in run.message))

    return ask


def end(asked: Asked, state: str, message: str = "") -> None:
    run = asked.runs()[-1]["id"]
    body = {"state": {"type": state, "message": message}, "force": True}
    connect().post(f"flow_runs/{run}/set_state", body)


def test_asked_a_hundred_times_it_is_one_run(asked, once) -> None:
    for _ in range(10):
        assert not once(0).stuck
    assert len(asked.runs()) == 1


def test_each_failure_by_chance_doubles_the_pause_up_to_an_hour(asked, once) -> None:
    once(0)
    for tried, pause in enumerate((30, 60, 120, 240, 480, 960, 1920, 3600, 3600), start=1):
        end(asked, "FAILED" if tried % 2 else "CRASHED", "the registry was away")
        ended = runs.read(asked.runs()[-1]["id"]).ended
        assert "the next begins after" in once(pause - 5, ended).says and len(asked.runs()) == tried
        assert "started" in once(pause + 5, ended).says and len(asked.runs()) == tried + 1
    assert once(0).stuck


def test_what_is_guilty_is_never_tried_again(asked, once) -> None:
    once(0)
    end(asked, "FAILED", "it is bad")
    assert once(10**6) == Standing("guilty", True) and len(asked.runs()) == 1


def test_after_many_attempts_it_is_left_to_a_person(asked, once, request) -> None:
    for number in range(1, attempts.ATTEMPTS + 1):
        runs.start("sleepy/once", {}, f"{request.node.name}:{number}")
    end(asked, "FAILED")
    assert "50 times" in once(10**6).says and len(asked.runs()) == attempts.ATTEMPTS
