"""Starting runs on a real Prefect server, through a wire that drops answers."""

import json
import os
import signal
import time
from datetime import UTC, datetime, timedelta

import pytest

from tandem.errors import Unreachable, UsageError
from tandem.triggers import runs
from tandem.triggers.api import Api, NoServer, connect


def until(condition, seconds=240.0):
    """What `condition` gives as soon as it gives anything."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "nothing came of it"
        time.sleep(0.1)
    return found


def count(api, key):
    found = api.post("flow_runs/filter", {"flow_runs": {"idempotency_key": {"any_": [key]}}})
    return len(found)


@pytest.mark.parametrize("fault", ["503", "lost", "cut"])
def test_a_run_is_started_once_however_often_the_answer_is_lost(machine, stumbling, fault):
    address, faults = stumbling
    faults += ["", fault, fault, fault]  # the deployment is found, then the creation stumbles three times
    key = f"key-{fault}"
    run = runs.start("sleepy/test", {}, key, api=machine.api(address))
    assert faults == [] and count(machine.api(), key) == 1
    assert runs.start("sleepy/test", {}, key, api=machine.api()) == run


def test_a_worker_runs_it_in_this_root_with_the_parameters(machine, tmp_path):
    note = tmp_path / "note"
    run = runs.start("sleepy/test", {"note": str(note)}, api=machine.api())
    until(lambda: (found := runs.read(run, machine.api())) and found.over)
    assert runs.read(run, machine.api()).state == "COMPLETED" and not runs.is_alive(run, machine.api())
    said = json.loads(note.read_text())
    assert said["TANDEM_ROOT"] == str(machine.root) and said["PREFECT_API_URL"] == machine.url
    assert said["PREFECT_HOME"] == str(machine.root / ".tandem/prefect")


def test_a_killed_run_is_alive_until_its_heartbeats_are_missed(machine, tmp_path):
    note = tmp_path / "note"
    run = runs.start("sleepy/test", {"seconds": 600, "note": str(note)}, api=machine.api())
    pid = json.loads(until(lambda: note.exists() and note.read_text()))["pid"]
    until(lambda: not runs.is_alive(run, machine.api(), now=datetime.now(UTC) + timedelta(minutes=2)))  # it is Running
    assert runs.is_alive(run, machine.api())
    os.kill(pid, signal.SIGKILL)
    runs.crashed(run, "killed by a test", machine.api())
    assert not runs.is_alive(run, machine.api())


def test_a_cancelled_run_is_over_and_cancelling_it_again_changes_nothing(machine):
    api = machine.api()
    deployment = api.get("deployments/name/sleepy/test")["id"]
    later = {"type": "SCHEDULED", "state_details": {"scheduled_time": "2099-01-01T00:00:00Z"}}
    run = api.post(f"deployments/{deployment}/create_flow_run", {"state": later})["id"]
    assert run in [each.id for each in runs.runs("sleepy/test", api)]
    for _ in range(2):
        runs.cancel(run, "not needed any more", api)
        assert runs.read(run, api).state == "CANCELLED"


def test_what_the_server_does_not_know_is_not_alive(machine):
    assert not runs.is_alive("00000000-0000-0000-0000-000000000000", machine.api())
    assert runs.read("nonsense", machine.api()) is None


def test_wrong_names_are_told_before_anything_runs(machine):
    with pytest.raises(UsageError, match=r"no deployment 'sleepy/x'.*tandem up"):
        runs.start("sleepy/x", {}, api=machine.api())
    with pytest.raises(UsageError, match=r"no parameter secs \(it has: seconds, note\)"):
        runs.start("sleepy/test", {"secs": 1}, api=machine.api())
    with pytest.raises(UsageError, match="refuses"):
        runs.start("sleepy/test", {"seconds": "many"}, api=machine.api())


def test_patience_ends_with_what_was_last_seen(machine, stumbling):
    address, faults = stumbling
    faults += ["503"] * 100
    api, clock = machine.api(address), iter(range(100))
    hurried = Api(api.client, patience=5, clock=lambda: next(clock), sleep=lambda _: None)
    with pytest.raises(Unreachable, match=r"within 5 s \(last: HTTP 503\).*tandem up"):
        hurried.get("health")
    assert len(faults) > 90


def test_without_a_server_it_says_how_to_get_one():
    with pytest.raises(NoServer, match="tandem up"):
        connect({})
