"""`tandem up` killed piece by piece, while work is under way: whole again, and each run done once."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from contextlib import suppress

import pytest

from tandem.cli import children, environment
from tandem.triggers import orphans, runs
from tests.end_to_end.service import commit, publish, service, taken, until


@pytest.fixture(scope="module")
def up(tmp_path_factory):
    with service(tmp_path_factory.mktemp("service")) as made:
        made.becomes_whole()
        yield made


@pytest.mark.parametrize("part", ["server", "worker", "receiver"])
def test_a_killed_part_comes_back_and_what_ran_is_done_once(up, part):
    run, note = up.sleepy(12)
    before, pid = note.read_text(), up.kill(part)
    until(lambda: up.pid(part) not in (None, pid), 240, up.log)
    up.becomes_whole()
    assert up.over(run) == "COMPLETED", up.log()
    assert note.read_text() == before  # it was not begun a second time
    assert f"{part}: gone, start again" in children.log(up.root, "supervisor").read_text()


def test_a_killed_template_has_crashed_its_run_at_once_and_the_next_is_warm_again(up):
    run = forked(up)
    up.kill("template")
    assert up.over(run) == "CRASHED"
    assert "No heartbeat" not in runs.read(run, up.api()).message  # at once: not by its silence
    up.becomes_whole()
    _, note = up.sleepy(0)
    assert json.loads(note.read_text())["pid"]


def forked(up) -> str:
    """A long run that the template has forked: on a busy machine one may have to start cold, and is ended."""

    def one() -> str:
        run, note = up.sleepy(600)
        said = json.loads(note.read_text())
        if said["parent"] == up.pid("template"):
            return run
        os.kill(said["pid"], signal.SIGKILL)
        up.over(run)
        return ""

    return until(one, 300, up.log)


def test_a_killed_supervisor_leaves_all_running_and_the_next_up_brings_another(up):
    parts = {name: up.pid(name) for name in ("server", "worker", "receiver")}
    run, _ = up.sleepy(10)
    up.kill("supervisor")
    until(lambda: not up.pid("supervisor"), 120)
    said = up.tandem("up")
    assert "supervisor: started" in said and "server: runs" in said and "worker: runs" in said
    up.becomes_whole()
    assert parts == {name: up.pid(name) for name in parts}
    assert up.over(run) == "COMPLETED"


def test_a_server_that_hangs_is_replaced(up):
    pid = up.kill("server", signal.SIGSTOP)
    until(lambda: up.pid("server") not in (None, pid), 240, up.log)
    up.becomes_whole()
    assert "server: does not answer, ended" in children.log(up.root, "supervisor").read_text()


def test_two_more_ups_at_once_start_nothing_twice(up):
    before = {name: up.pid(name) for name in ("server", "worker", "receiver", "supervisor")}
    beside = [subprocess.Popen(up.command("up"), cwd=up.root, env=up.env(), stdout=-1, text=True) for _ in range(2)]
    said = [each.communicate(timeout=400)[0] for each in beside]
    assert all(each.returncode == 0 for each in beside) and not any("started" in each for each in said), said
    assert before == {name: up.pid(name) for name in before}


def test_a_release_whose_worker_and_template_are_killed_is_ended_within_two_minutes(up, record_property):
    publish(up)
    up.tandem("integrate", "tiny")
    up.tandem("release", "tiny", "local")
    good = up.state()["history"][0]["candidate"]["digest"]
    commit(up)
    up.tandem("integrate", "tiny")
    (up.root / "held").write_text('"step":"roll out"')  # meanwhile the new one does not become ready
    run = runs.start("release/tiny-local", {"app": "tiny", "environment": "local"}, api=up.api())
    until(lambda: (up.state().get("under_way") or {}).get("step") == "roll out", 240, up.log)
    began = time.monotonic()
    launched = orphans.living()[run]
    up.kill_together("worker", "template")
    with suppress(ProcessLookupError):  # started cold it is the run itself, and outlives the template
        os.kill(launched, signal.SIGKILL)
    (up.root / "held").unlink()
    until(lambda: up.state()["under_way"] is None, 300, up.log)
    record_property("seconds until it was ended", round(time.monotonic() - began))  # 125 at most, where there is time
    assert up.over(run) == "CRASHED"
    until(lambda: up.api().get("v2/concurrency_limits/release-tiny-local")["active_slots"] == 0, 240, up.log)
    state = up.state()
    assert len([each for each in state["history"] if each["run"] == run]) == 1
    assert good in {each["candidate"]["digest"] for each in state["history"]}
    up.becomes_whole()


def test_after_a_reboot_with_stale_files_and_a_taken_port_it_is_whole_again(up):
    run, note = up.sleepy(300)
    port = int(environment.known(up.root, "url").rpartition(":")[2].removesuffix("/api"))
    up.kill_together("supervisor", "worker", "template", "receiver", "server")
    with suppress(ProcessLookupError):  # forked from the template it is dead already, started cold it is not
        os.kill(json.loads(note.read_text())["pid"], signal.SIGKILL)
    until(lambda: not up.pid("server"), 120)
    with taken(port):
        said = up.tandem("up")
        assert f"port {port} is taken" in said
        up.becomes_whole()
        assert up.over(run) == "CRASHED"
        _, again = up.sleepy(0)
        assert again.exists()
        up.tandem("down")
        until(lambda: not up.processes(), 120, up.processes)
    up.tandem("up")
    up.becomes_whole()


def test_what_the_page_on_backups_copies_brings_all_of_it_back(up, tmp_path):
    status, before = up.tandem("status", "--json"), up.api().post("flow_runs/count", {})
    old, new = (sqlite3.connect(file) for file in (up.root / ".tandem/prefect/prefect.db", tmp_path / "prefect.db"))
    old.backup(new)
    old.close(), new.close()
    files = [".tandem/environments", "registry"]
    subprocess.run(["tar", "czf", tmp_path / "tandem.tar.gz", *files], cwd=up.root, check=True)
    up.tandem("down", "--everything")
    for name in (".tandem", "registry"):
        shutil.rmtree(up.root / name)
    (up.root / ".tandem/prefect").mkdir(parents=True)
    shutil.copy(tmp_path / "prefect.db", up.root / ".tandem/prefect")
    subprocess.run(["tar", "xzf", tmp_path / "tandem.tar.gz"], cwd=up.root, check=True)
    up.tandem("up")
    up.becomes_whole()
    after = up.tandem("status", "--json")
    assert [each["state"] for each in json.loads(after)[0]["environments"]] == [
        each["state"] for each in json.loads(status)[0]["environments"]
    ]
    assert up.api().post("flow_runs/count", {}) >= before


def test_in_the_foreground_all_ends_with_it(up):
    up.tandem("down")
    (up.root / "deployments" / "wrong").mkdir()
    (up.root / "deployments" / "wrong" / "app.toml").write_text("no = 1")  # nobody is there to correct it
    with (up.root / "foreground.txt").open("w") as said:
        front = subprocess.Popen(up.command("up", "--foreground"), cwd=up.root, env=up.env(), stdout=said, stderr=said)
    up.becomes_whole()
    assert children.find(up.root, "supervisor").pid == front.pid
    killed = up.kill("receiver")
    until(lambda: up.pid("receiver") not in (None, killed), 240, up.log)
    up.becomes_whole()
    assert "receiver: gone, start again" in (up.root / "foreground.txt").read_text()
    (up.root / "deployments" / "wrong" / "app.toml").unlink()
    (up.root / "deployments" / "wrong").rmdir()
    front.terminate()
    assert front.wait(240) == 0, (up.root / "foreground.txt").read_text()
    until(lambda: not up.processes(), 120, up.processes)
    up.tandem("up")
    up.becomes_whole()
