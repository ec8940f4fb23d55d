"""What tests of several parts share."""

import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

Report = pytest.TestReport


def free_port() -> int:
    """A port of 127.0.0.1 for who binds it later.

    None of those that the kernel gives away to whoever asks for any, and none that another process of this run finds:
    between now and then it would be gone now and then.
    """
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    mine = range(20_000 + number, 30_000, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
    for port in random.SystemRandom().sample(mine, 100):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("100 ports between 20000 and 30000 are taken")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Prefect server on SQLite, one a test process."""
    with prefect_server(tmp_path_factory.mktemp("prefect")) as api:
        yield api


@contextmanager
def prefect_server(home: Path) -> Iterator[str]:
    """The address of the API of one that is new, and that this process' flow runs report to."""
    port = free_port()
    env = os.environ | {
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
    }
    command = [sys.executable, "-m", "tandem.cli.prefect_server", "start", "--port", str(port)]
    # imported here: the app's own tests have this file too, and neither of these packages
    import httpx
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker
    from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

    with (home / "log").open("w") as log:
        process = subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True)
    api = f"http://127.0.0.1:{port}/api"
    try:
        deadline = time.monotonic() + 240
        while True:
            try:
                if httpx.get(f"{api}/health").status_code == 200:
                    break
            except httpx.HTTPError:
                pass
            assert process.poll() is None and time.monotonic() < deadline, (home / "log").read_text()[-2000:]
            time.sleep(0.1)
        with temporary_settings({PREFECT_API_URL: api, PREFECT_HOME: home}):
            yield api
            # while the server is there: at the process' end they would try for a minute to reach it
            APILogWorker.drain_all(timeout=30)
            EventsWorker.drain_all(timeout=30)
    finally:
        process.terminate()
        process.wait(120)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Report, Report]:
    """With TANDEM_REQUIRE_ALL, as in CI, what is missing fails its test: nothing is skipped."""
    report = yield
    if report.skipped and os.environ.get("TANDEM_REQUIRE_ALL"):
        report.outcome, report.longrepr = "failed", f"skipped, and nothing may be here: {report.longrepr}"
    return report


PARTS = (  # the longest first, but flows not before what forks: their threads hold locks that a child would wait for
    "tests/contracts/kubernetes/",
    "tests/end_to_end/test_service.py",  # its own server: it shares nothing with the others there
    "tests/end_to_end/test_systemd.py",  # nor does this
    "tests/end_to_end/",
    "tests/service/",
    "tests/contracts/docker/",
    "tests/cli/",
    "tests/source/",
    "tests/contracts/stores/",
    "tests/flows/",
)
# packages are fetched, suites run, a cluster is built once
SLOW = ("tests/end_to_end/", "tests/contracts/kubernetes/", "tests/contracts/targets/")
WAIT = {"server", "machine", "base_image"}  # Prefect's server takes its time; a base image is made once


def part_of(item: str) -> int:
    """Its place among PARTS, or behind them."""
    return next((at for at, part in enumerate(PARTS) if item.startswith(part)), len(PARTS))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest parts first, so that no process ends long after the others."""
    items.sort(key=lambda item: part_of(item.nodeid))
    for item in items:
        slow = item.nodeid.startswith(SLOW) or not WAIT.isdisjoint(getattr(item, "fixturenames", ()))
        if slow and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(900))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """What shares a Prefect server, a Docker daemon or a cluster runs in one process, all else by files.

    xdist's own loadgroup does not see its groups under pytest 9.2.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByPart(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return (*PARTS, nodeid.partition("::")[0])[part_of(nodeid)]

    config.option.loadscopereorder = False
    return ByPart(config, log)
