"""`tandem up` on a machine of its own: the real server, the real worker, the real prefect.yaml."""

import json

from tandem.cli import children


def test_a_taken_port_gives_another_and_says_which(machine):
    assert "port 4200 is taken" in machine.said and ":4200" not in machine.url
    assert machine.url.removesuffix("/api") in machine.said


def test_a_second_up_finds_everything_and_starts_nothing(machine):
    done = machine.tandem("up")
    assert done.returncode == 0 and "server: runs" in done.stdout and "worker: runs" in done.stdout
    assert "supervisor: runs" in done.stdout
    assert "applied" not in done.stdout and "started" not in done.stdout


def test_every_deployment_stands_there_with_description_form_and_presets(machine):
    found = [each for each in _deployments(machine) if "digits" in each["tags"]]
    flows = {each["entrypoint"].rpartition(".")[2] for each in found}
    assert flows == {"integrate", "release", "rollback", "approve", "publish", "prune"}
    release = next(each for each in found if each["name"] == "digits-local-nightly")
    preset = {"app": "digits", "environment": "local", "unattended": True}
    assert release["parameters"] == preset and release["description"]
    form = {"app", "environment", "candidate", "dry_run", "despite_freeze", "unattended"}
    assert form == set(release["parameter_openapi_schema"]["properties"])
    assert release["enforce_parameter_schema"] and release["path"] is None
    schedule = release["schedules"][0]
    assert (schedule["schedule"]["cron"], schedule["schedule"]["timezone"]) == ("0 2 * * *", "UTC")
    assert release["global_concurrency_limit"]["limit"] == 1


def test_builds_have_a_queue_of_their_own_that_starves_nobody(machine):
    api = machine.api()
    assert api.get("work_pools/tandem")["concurrency_limit"] == 4
    builds, default = (api.get(f"work_pools/tandem/queues/{name}") for name in ("builds", "default"))
    assert builds["concurrency_limit"] == 2 and builds["priority"] > default["priority"]
    queues = {each["entrypoint"].rpartition(".")[2]: each["work_queue_name"] for each in _deployments(machine)}
    assert queues["integrate"] == "builds" and queues["release"] == queues["reconcile"] == "default"


def test_the_lock_of_each_environment_exists_before_anybody_takes_it(machine):
    assert machine.api().get("v2/concurrency_limits/release-digits-local")["limit"] == 1


def test_a_changed_schedule_is_applied_and_nothing_else_is_started(machine):
    file = machine.root / "prefect.yaml"
    file.write_text(file.read_text().replace("cron: 0 0 1 1 *", "cron: 15 3 1 1 *"))
    done = machine.tandem("up")
    assert "applied" in done.stdout and "started" not in done.stdout
    crons = [s["schedule"]["cron"] for each in _deployments(machine) for s in each["schedules"]]
    assert sorted(crons) == ["0 2 * * *", "15 3 1 1 *"]


def test_where_things_are_is_kept_for_other_commands(machine):
    assert json.loads((machine.root / ".tandem/up.json").read_text())["url"] == machine.url
    assert children.log(machine.root, "worker").exists()


def _deployments(machine):
    return machine.api().post("deployments/filter", {})
