"""reconcile by itself, with nobody to run what it asks for: what is superseded, dead, or in one app's way."""

import shutil
from datetime import UTC, datetime, timedelta

import pytest
from prefect import flow

from tandem.errors import TandemError
from tandem.flows import zombies
from tandem.flows.integrate import integrate
from tandem.flows.ops import status
from tandem.flows.reconcile import reconcile
from tandem.triggers import api, runs
from tandem.triggers.api import connect
from tandem.triggers.runs import Run
from tests.flows.asked import deploy


def test_a_run_that_has_not_begun_and_is_superseded_is_cancelled_and_says_by_what(line) -> None:
    asked = deploy(integrate, "tiny")
    by_hand = runs.start("integrate/tiny", {"app": "tiny", "commit": line.commit()})
    reconcile("tiny")
    newest = line.commit()
    reconcile("tiny")
    first, second = (run for run in asked.runs() if run["id"] != by_hand)
    assert first["state_type"] == "CANCELLED" and f"superseded by {newest[:12]}-" in first["state"]["message"]
    assert second["state_type"] == "SCHEDULED" and second["parameters"]["commit"] == newest
    assert runs.read(by_hand).state == "SCHEDULED", "what a person asked for is theirs"
    line.git("reset", "-q", "--hard", "HEAD~1")
    reconcile("tiny")
    assert asked.states().count("CANCELLED") == 2, "and the other way round, once the branch goes back"


def test_one_app_in_trouble_never_stops_another_and_status_says_what_it_was(line, capsys, monkeypatch) -> None:
    asked = deploy(integrate, "tiny")
    for name, (old, new) in {
        "away": ('repository = "code"', 'repository = "https://127.0.0.1:1/code.git"'),
        "wrong": ("[model]", "[modell]"),
        "half": ("[environments.local]", '[environments.gone]\ntarget = "nowhere:"\n[environments.local]'),
    }.items():
        shutil.copytree(line.root / "deployments" / "tiny", line.root / "deployments" / name)
        toml = line.root / "deployments" / name / "app.toml"
        toml.write_text(toml.read_text().replace(old, new))
    deploy(integrate, "half")
    with pytest.raises(TandemError) as caught:
        reconcile()
    told = str(caught.value).splitlines()
    assert [line.partition(":")[0] for line in told] == ["away", "half in gone", "wrong"]
    assert asked.states() == ["SCHEDULED"], "the one that is well went on"
    assert {each.app for each in status()} == {"away", "half", "tiny", "wrong"}
    from tandem.cli import looking

    monkeypatch.chdir(line.root)
    monkeypatch.setattr(api, "connect", lambda environ=None, patience=0: connect(environ, 240))  # no person waits here
    looking.status("")
    said = capsys.readouterr().out
    assert "reconcile at" in said and "127.0.0.1:1" in said and "modell" in said and "nowhere:" in said
    shutil.rmtree(line.root / "deployments" / "wrong")


NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
AGES = [
    ("RUNNING", "d", 94, None, False),
    ("RUNNING", "d", 96, None, True),
    ("RUNNING", "d", 9000, 30, False),
    ("RUNNING", "d", 9000, 96, True),
    ("RUNNING", None, 9000, None, False),  # somebody's own process, without heartbeats
    ("RUNNING", None, 9000, 96, True),
    ("PENDING", "d", 600, None, False),
    ("PENDING", "d", 1000, None, True),
    ("CANCELLING", "d", 1000, None, True),
]


@pytest.mark.parametrize(("state", "deployment", "age", "heard", "dead"), AGES)
def test_which_runs_are_dead(state: str, deployment: str | None, age: int, heard: int | None, dead: bool) -> None:
    began = NOW - timedelta(seconds=age)
    run = Run("1", "run", state, "", {}, deployment, began=began, since=began)
    last = NOW - timedelta(seconds=heard) if heard is not None else None
    assert bool(zombies.dead(run, last, NOW)) == dead


def test_a_dead_run_is_said_to_have_crashed_and_nobody_waits_for_it(line) -> None:
    asked = deploy(integrate, "tiny")
    reconcile("tiny")
    (run,) = asked.runs()
    for state in ("PENDING", "RUNNING"):
        connect().post(f"flow_runs/{run['id']}/set_state", {"state": {"type": state}, "force": True})
    began = runs.read(run["id"]).began
    assert [each.id for each in looked(began + timedelta(seconds=90))] == [run["id"]]
    assert looked(began + timedelta(seconds=100)) == () and runs.read(run["id"]).state == "CRASHED"
    assert "nothing was heard of it" in runs.read(run["id"]).message


@flow
def looked(now: datetime) -> tuple[Run, ...]:
    """The living runs of the tiny app."""
    alive = zombies.living(now)
    return tuple(run for run in alive if run.parameters.get("app") == "tiny")
