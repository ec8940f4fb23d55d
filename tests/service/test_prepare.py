"""A server that asks for a password and a CSRF token is prepared, again and again, by one or by two at once."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tandem.cli.prepare import prepare, read_template
from tandem.errors import SettingsError
from tandem.settings import Settings
from tandem.triggers.api import Api, ApiError, connect
from tests.contracts.conftest import free_port
from tests.service import tiny
from tests.service.test_objects import SERVER

AUTH = "tandem:guessed by nobody"
VALUES = {"TANDEM_IMAGE": "registry.example.org/tandem:1", "TANDEM_NAMESPACE": "tandem"}


@pytest.fixture(scope="module")
def protected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A server as deployments/server has it, but for its databases: what its clients are told."""
    home = tmp_path_factory.mktemp("protected")
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    own = {"PREFECT_HOME": str(home), "PREFECT_API_URL": url, "PREFECT_API_AUTH_STRING": AUTH}
    more = {"PREFECT_SERVER_API_AUTH_STRING": AUTH, "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "true"}
    argv = [sys.executable, "-m", "prefect", "server", "start", "--port", str(port)]
    with (home / "log").open("w") as log:
        process = subprocess.Popen(argv, env=os.environ | own | more, stdout=log, stderr=log, start_new_session=True)
    try:
        deadline = time.monotonic() + 120
        while not answers(url):
            assert process.poll() is None and time.monotonic() < deadline, (home / "log").read_text()[-2000:]
            time.sleep(0.1)
        yield own
    finally:
        process.terminate()
        process.wait(120)


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health").is_success
    except httpx.HTTPError:
        return False


@pytest.fixture
def root(tmp_path: Path) -> tiny.Root:
    places = tiny.Places("https://git.example.org/tiny", "s3://models/tiny", "host/base", "host/tiny", "staging")
    return tiny.make(tmp_path / "root", tmp_path / "bare", places)


@pytest.fixture
def api(protected: dict[str, str], monkeypatch: pytest.MonkeyPatch, root: tiny.Root) -> Api:
    for name, value in (protected | {"TANDEM_ROOT": str(root.folder)}).items():
        monkeypatch.setenv(name, value)
    return connect()


def test_a_repeat_changes_nothing_and_what_a_person_set_stays(api: Api, root: tiny.Root) -> None:
    template = read_template(SERVER / "base" / "job.yaml", "kubernetes", VALUES)
    everything, said = [Settings.load("tiny", root.folder)], []
    other = threading.Thread(target=prepare, args=(root.folder, everything, connect(), template, said.append))
    other.start()
    prepare(root.folder, everything, connect(), template, said.append)
    other.join()
    pool = api.get("work_pools/tandem")
    assert pool["type"] == "kubernetes" and pool["concurrency_limit"] == 20
    assert pool["base_job_template"]["variables"]["properties"]["image"]["default"] == VALUES["TANDEM_IMAGE"]
    integrate = api.get("deployments/name/integrate/tiny")
    assert integrate["job_variables"]["service_account_name"] == "integrate"
    assert api.get("deployments/name/release/tiny-staging")["job_variables"] == {}
    assert api.get("v2/concurrency_limits/release-tiny-staging")["limit"] == 1

    api.ask("PATCH", "work_pools/tandem", {"concurrency_limit": 3})
    prepare(root.folder, everything, api, template, said.append)
    assert api.get("work_pools/tandem")["concurrency_limit"] == 3
    assert api.get("deployments/name/integrate/tiny")["id"] == integrate["id"]


def test_a_pool_of_another_type_is_somebody_elses(api: Api, root: tiny.Root) -> None:
    with suppress(ApiError):  # another test's is there
        api.post("work_pools/", {"name": "tandem", "type": "kubernetes"})
    with pytest.raises(SettingsError, match=r"type kubernetes, and process is wanted"):
        prepare(root.folder, [], api, read_template(SERVER / "base" / "job.yaml", "process", VALUES), print)


def test_without_the_password_nobody_is_let_in(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "tandem:guessed")
    with pytest.raises(ApiError, match="401"):
        connect().get("work_pools/tandem")
