"""A hook comes in at the Service; integrate and release run as pods; parts are killed, and the work is done once."""

import hashlib
import hmac
import json
import os
import re
import shlex
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tandem.targets.state import decode
from tests.service.conftest import Service, lead, seen, until
from tests.service.images import ROOT

pytestmark = [pytest.mark.timeout(1500), pytest.mark.usefixtures("undisturbed")]


def hook(service: Service, secret: str | None = None) -> httpx.Response:
    """A signed push to main, as the generic sender sends it."""
    body = json.dumps({"repository": service.repository, "ref": "refs/heads/main"}).encode()
    moment = str(int(time.time()))
    digest = hmac.new((secret or service.hook).encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
    headers = {"X-Tandem-Timestamp": moment, "X-Tandem-Signature": f"sha256={digest}"}
    headers["Content-Type"] = "application/json"
    return httpx.post(f"{service.receiver}/hooks/generic", content=body, headers=headers, timeout=60)


def runs(service: Service, flow: str) -> list[dict[str, object]]:
    """The flow's runs that Prefect knows."""
    return list(service.prefect("flow_runs/filter", {"flows": {"name": {"any_": [flow]}}}))


def states(service: Service) -> str:
    found = service.prefect("flow_runs/filter", {"sort": "EXPECTED_START_TIME_DESC", "limit": 15})
    lines = [f"{run['name']}: {run['state']['name']} {run['state'].get('message') or ''}" for run in found]
    return "\n".join([*lines, seen(service.cluster, service.namespace)])


def history(service: Service) -> list[str]:
    """The commits that came into the environment, newest first, by its state."""
    found = service.cluster.kubectl("-n", service.app, "get", "configmap", "tandem-tiny-staging", "-o", "json")
    state = decode(json.loads(found)["data"]["state.json"].encode(), "the environment's ConfigMap")
    return [each.candidate.pair.commit for each in state.history]


def test_only_the_receiver_is_outside_and_prefect_asks_who_is_there(service: Service) -> None:
    outside = [each["metadata"]["name"] for each in service.objects("services") if each["spec"]["type"] != "ClusterIP"]
    assert outside == ["receiver"]
    assert hook(service, "guessed").status_code == 401
    api = next(each["spec"]["clusterIP"] for each in service.objects("services") if each["metadata"]["name"] == "api")
    asked = {"flow_runs": {}}
    assert httpx.get(f"http://{api}:4200/api/work_pools/tandem", timeout=60).status_code == 401
    user, _, password = service.auth.partition(":")
    told = httpx.post(f"http://{api}:4200/api/flow_runs/filter", json=asked, auth=(user, password), timeout=60)
    assert told.status_code == 403 and "CSRF" in told.text


def test_a_hook_brings_a_commit_to_the_users(service: Service) -> None:
    began = time.monotonic()
    assert hook(service).status_code == 202
    until(lambda: service.greeting() == "first", 400, lambda: states(service))
    print(f"from the hook to the users: {time.monotonic() - began:.0f} s")
    accounts = {
        each["metadata"]["labels"]["prefect.io/flow-name"]: each["spec"]["serviceAccountName"]
        for each in service.objects("pods", "-l", "tandem.dev/part=run")
    }
    assert accounts["integrate"] == "integrate" and accounts["release"] == accounts["reconcile"] == "release"


def kill(service: Service, part: str) -> None:
    """SIGKILL to everything in the container of this part's first pod, as a machine's own kernel might."""
    # what it needs was killed just before: it may have ended by itself, and not be back yet
    until(lambda: killed(service, part), 180, lambda: f"no process of {part} is on this machine")


def killed(service: Service, part: str) -> int:
    """How many processes were killed in the container as the API has it now."""
    pod = service.objects("pods", "-l", f"tandem.dev/part={part}")[0]
    own = next(each["containerID"] for each in pod["status"]["containerStatuses"] if each["name"] == part)
    number = own.rpartition("/")[2]
    count = 0
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if number in (process / "cgroup").read_text():
                os.kill(int(process.name), signal.SIGKILL)
                count += 1
    return count


def test_every_part_is_killed_in_the_middle_and_the_work_is_done_once(service: Service) -> None:
    commit = service.root.push("second", seconds=20)
    assert hook(service).status_code == 202

    def integrating() -> bool:
        mine = [run for run in runs(service, "integrate") if run["parameters"]["commit"] == commit]
        return bool(mine) and mine[0]["state"]["type"] == "RUNNING"

    until(integrating, 300, lambda: states(service))
    began = time.monotonic()
    for part in ("postgres", "redis", "api", "services", "worker", "receiver"):
        kill(service, part)
    until(lambda: service.greeting() == "second", 500, lambda: states(service))
    print(f"from six kills to the users: {time.monotonic() - began:.0f} s")
    until(lambda: commit in history(service), 120, lambda: states(service))  # verified, and then recorded
    assert history(service).count(commit) == 1

    def made() -> list[str]:
        return [run["state"]["type"] for run in runs(service, "integrate") if run["parameters"]["commit"] == commit]

    until(lambda: made() == ["COMPLETED"], 120, made)  # it may end after the release that it led to


def test_a_dump_brings_the_history_back_by_the_commands_of_the_page(service: Service, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "run-on-kubernetes.md").read_text()
    (block,) = re.findall(r"^```console\n(\$ kubectl -n tandem exec postgres-0.*?)^```", page, re.MULTILINE | re.DOTALL)
    dump, stop, wait, restore, start = re.findall(r"^\$ (.*)$", block, re.MULTILINE)
    psql = "PGPASSWORD=$PASSWORD psql -h 127.0.0.1 -U tandem -qc"
    lose = f"sh -c '{psql} \"DROP SCHEMA public CASCADE; CREATE SCHEMA public\"'"
    ran = [run["id"] for run in runs(service, "integrate") if run["state"]["type"] == "COMPLETED"]
    assert ran

    def given(line: str) -> None:
        program = [*service.cluster.kubectl_argv, "-n", service.namespace]
        line = line.replace("kubectl -n tandem", shlex.join(program)).replace(
            "kubectl apply", f"{shlex.join(program)} apply"
        )
        line = line.replace("-k own", f"-k {service.own}").partition("     # ")[0]
        done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"

    for line in (dump, stop, wait, f"kubectl -n tandem exec postgres-0 -- {lose}", restore, start):
        given(line)
    until(lambda: lead(service.cluster, service.namespace), 400, lambda: states(service))
    assert set(ran) <= {run["id"] for run in runs(service, "integrate")}
