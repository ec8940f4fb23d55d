"""Nights: in a freeze nothing goes by itself, after an outage once, and an approval holds for so long."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.schedules import CronSchedule

from tandem.errors import Refused
from tandem.flows import backends
from tandem.flows.approve import approve
from tandem.flows.integrate import integrate
from tandem.flows.release import release
from tandem.flows.rollback import rollback
from tandem.records import Approval, State
from tandem.settings import Settings
from tandem.targets import transitions
from tandem.targets.advance import advance
from tandem.triggers.api import connect
from tests.flows.asked import Asked, deploy

FREEZE = 'freeze = "2020-01-01..2998-12-31"\ntimezone = "Europe/Berlin"'


def state() -> State:
    return backends.target(Settings.load("tiny"), "local").state().value


@pytest.mark.more(FREEZE)
def test_in_a_freeze_a_person_is_told_and_may_insist_and_going_back_is_never_frozen(line) -> None:
    first = integrate("tiny")
    with pytest.raises(Refused, match=r"frozen until .*2999-01-01 00:00 Europe/Berlin.*--despite-freeze"):
        release("tiny", "local")
    assert release("tiny", "local", dry_run=True) is None and state().history == ()
    assert release("tiny", "local", despite_freeze="the shop is down").candidate == first
    line.commit()
    integrate("tiny")
    release("tiny", "local", despite_freeze="still down")
    assert rollback("tiny", "local", why="worse", by="ann").candidate == first


@pytest.mark.more(FREEZE + "\napproval = true")
def test_a_frozen_night_is_completed_and_says_until_when_and_an_approval_waits_for_its_end(line) -> None:
    candidate = integrate("tiny")
    nightly = deploy(release, "tiny-local-nightly", parameters={"app": "tiny", "environment": "local"})
    said = night(nightly)
    assert said.startswith("COMPLETED") and "waits: local is frozen until Tue 2999-01-01" in said
    assert state().asked is None, "nobody is asked in a freeze"
    assert approve("tiny", "local", candidate.tag, by="ann") is None
    assert [a.by for a in state().approvals] == ["ann"] and state().history == ()


def night(nightly: Asked) -> str:
    """What its schedule starts, without a schedule."""
    with get_client(sync_client=True) as client:
        here = {"app": "tiny", "environment": "local", "unattended": True}
        run = client.create_flow_run_from_deployment(nightly.deployment, parameters=here)
    return nightly.run({"id": str(run.id)})


@pytest.mark.parametrize("order", ["oldest first", "newest first", "any"])
def test_after_an_outage_of_days_one_release_is_late_and_no_second(line, order: str) -> None:
    good = integrate("tiny")
    release("tiny", "local")
    line.commit()
    bad = line.publish(deep="wrong")
    integrate("tiny")
    integrate("tiny", model=good.pair.model)  # what a second release, after the bad one, would bring in
    schedule = DeploymentScheduleCreate(schedule=CronSchedule(cron="0 2 * * *", timezone="Europe/Berlin"))
    preset = {"app": "tiny", "environment": "local", "unattended": True}
    nightly = deploy(release, "tiny-local-late", parameters=preset, schedules=[schedule])
    connect().post(f"deployments/{nightly.deployment}/schedule", late(days=4))
    past = [run for run in nightly.runs() if datetime.fromisoformat(run["expected_start_time"]) < datetime.now(UTC)]
    due = sorted(past, key=lambda run: run["expected_start_time"], reverse=order == "newest first")
    if order == "any":
        random.Random(order).shuffle(due)
    assert len(due) == 4 and all(run["auto_scheduled"] for run in due)
    newest = max(due, key=lambda run: run["expected_start_time"])
    said = {run["id"]: nightly.run(run) for run in due}
    assert said.pop(newest["id"]).startswith("FAILED"), "the bad pair was tried"
    assert all("is for that night and this" in each for each in said.values()), said
    assert [r.outcome for r in state().history] == ["rolled back", "released"]
    assert bad in {b.model for b in state().blocks}


def late(days: int) -> dict[str, object]:
    now = datetime.now(UTC)
    return {
        "start_time": (now - timedelta(days=days)).isoformat(),
        "end_time": now.isoformat(),
        "min_runs": days,
        "max_runs": days,
    }


@pytest.mark.more("approval = true")
def test_an_approval_that_expired_is_asked_for_again_and_the_question_is_put_once(line) -> None:
    form = deploy(approve, "tiny")
    candidate = integrate("tiny")
    target = backends.target(Settings.load("tiny"), "local")
    old = Approval(candidate.digest, "ann", False, datetime.now(UTC) - timedelta(days=7, seconds=1))
    advance(target, target.state(), lambda s: transitions.approved(s, old))
    assert release("tiny", "local") is None and release("tiny", "local", unattended=True) is None
    (page,) = questions()
    assert (
        f"/deployments/deployment/{form.deployment}/run" in page
        and f"tandem approve tiny local {candidate.tag}" in page
    )
    assert approve("tiny", "local", candidate.tag, by="ann").candidate == candidate


@pytest.mark.more('approval = true\napproval_expires = "2d"')
def test_an_approval_holds_for_as_long_as_app_toml_says(line) -> None:
    candidate = integrate("tiny")
    target = backends.target(Settings.load("tiny"), "local")
    yesterday = Approval(candidate.digest, "ann", False, datetime.now(UTC) - timedelta(days=1))
    advance(target, target.state(), lambda s: transitions.approved(s, yesterday))
    assert release("tiny", "local", unattended=True).candidate == candidate


@pytest.mark.more("approval = true")
def test_a_newer_candidate_is_a_question_of_its_own(line) -> None:
    integrate("tiny")
    release("tiny", "local")
    line.commit()
    newer = integrate("tiny")
    release("tiny", "local")
    assert state().asked.candidate == newer and newer.tag in questions()[0]


def questions() -> list[str]:
    """What people are asked about this test's candidates, the newest first."""
    query = {"artifacts": {"key": {"any_": ["approve-tiny-local"]}}, "sort": "CREATED_DESC"}
    tags = {each.split("-")[0] for each in backends.registry(Settings.load("tiny")).tags()}
    return [
        each["data"] for each in connect().post("artifacts/filter", query) if any(tag in each["data"] for tag in tags)
    ]


def test_nights_to_come_take_nothing_away(line) -> None:
    candidate = integrate("tiny")
    schedule = DeploymentScheduleCreate(schedule=CronSchedule(cron="0 2 * * *", timezone="UTC"))
    preset = {"app": "tiny", "environment": "local", "unattended": True}
    nightly = deploy(release, "tiny-local-soon", parameters=preset, schedules=[schedule])
    ahead = {"end_time": (datetime.now(UTC) + timedelta(days=4)).isoformat(), "min_runs": 5, "max_runs": 5}
    connect().post(f"deployments/{nightly.deployment}/schedule", {**late(days=1), **ahead})
    assert len(nightly.runs()) >= 5
    nightly.run(min(nightly.runs(), key=lambda run: run["expected_start_time"]))
    assert state().current.candidate == candidate
