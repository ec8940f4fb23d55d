"""Swaps of gunicorn under load, by clients that never retry. benchmarks/swap.py is the long form."""

import importlib.util
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from tandem.records import Image
from tandem.settings import Request, VerifySettings
from tandem.targets import reach
from tandem.targets.process import ProcessTarget


@pytest.fixture(scope="module")
def swap() -> ModuleType:
    spec = importlib.util.spec_from_file_location("swap", Path(__file__).parents[2] / "benchmarks" / "swap.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["swap"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("kind", "swaps"), [("{listen}", 3), ("{port}", 1)])
def test_swaps_under_load_cost_no_request(
    swap: ModuleType, tmp_path: Path, free_port: int, kind: str, swaps: int
) -> None:
    verify = VerifySettings(ready="/", time_limit=60.0, request=(Request(path="/", contains="v", within=60),))
    target = ProcessTarget("swap", "local", tmp_path / "home", f"127.0.0.1:{free_port}", verify)
    over = threading.Event()
    loads = [swap.Load(free_port, keep, 0.01, over) for keep in (True, True, False, False)]
    try:
        for number in range(swaps + 1):
            image = swap.make_image(tmp_path, f"v{number}", swap.COMMANDS[kind])
            list(target.roll_out(image, target.state()))
            if number == 0:
                for load in loads:
                    load.start()
        deadline = time.monotonic() + 60
        while any(load.sent <= 20 for load in loads) or loads[-1].seen[-1:] != [f"v{swaps}"]:
            assert time.monotonic() < deadline, [(load.sent, load.seen, load.failures) for load in loads]
            time.sleep(0.01)
        over.set()
        for load in loads:
            load.join(40)
        assert [dict(load.failures) for load in loads] == [{}] * 4
        assert all(load.sent > 20 for load in loads)
        assert all(load.seen == sorted(set(load.seen)) for load in loads)
        assert loads[-1].seen[0] == "v0"
        assert loads[-1].seen[-1] == f"v{swaps}"
    finally:
        over.set()
        target.stop()


def test_a_connection_that_waits_in_the_old_ones_queue_is_answered_by_the_new(
    app_image: Callable[..., Image], tmp_path: Path, free_port: int
) -> None:
    target = ProcessTarget(
        "swap", "local", tmp_path / "home", f"127.0.0.1:{free_port}", VerifySettings(ready="/readyz")
    )
    try:
        list(target.roll_out(app_image("v1"), target.state()))
        (old,) = reach.recorded(target.folder)["apps"]
        os.kill(old["pid"], signal.SIGSTOP)  # it takes nothing more from its queue
        with socket.create_connection(("127.0.0.1", free_port), timeout=60) as user:
            user.sendall(b"GET /version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            for progress in target.roll_out(app_image("v2"), target.state()):
                if "users reach it" in progress.message:
                    assert b'"version": "v2"' in user.makefile("rb").read()
                    os.kill(old["pid"], signal.SIGKILL)
    finally:
        target.stop()


def waiting(port: int) -> list[str]:
    """Who listens there with connections in its queue, as /proc/net/tcp tells it; nobody where there is none."""
    table = Path("/proc/net/tcp")
    lines = [line.split() for line in table.read_text().splitlines()[1:]] if table.exists() else []
    listening = [line for line in lines if line[3] == "0A" and line[1].endswith(f":{port:04X}")]
    return [line[1] for line in listening if not line[4].endswith(":00000000")]


def test_a_connection_that_the_old_one_just_took_may_still_send_its_request(
    app_image: Callable[..., Image], tmp_path: Path, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # a busy machine may stall for longer than the holder's half a second: this one's holder has forty of them
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text("from tandem.targets import holding\nholding.SETTLE *= 40\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"), prepend=os.pathsep)
    verify = VerifySettings(ready="/readyz")
    target = ProcessTarget("swap", "local", tmp_path / "home", f"127.0.0.1:{free_port}", verify)
    try:
        list(target.roll_out(app_image("v1", "abrupt"), target.state()))
        steps = target.roll_out(app_image("v2"), target.state())
        while "ready after" not in next(steps).message:
            pass
        with socket.create_connection(("127.0.0.1", free_port), timeout=60) as user:
            deadline = time.monotonic() + 60
            while still := waiting(free_port):  # until the old one has taken it
                assert time.monotonic() < deadline, still
                time.sleep(0.01)
            assert "users reach it" in next(steps).message
            time.sleep(0.2)  # and one that was told to end at the switch would be gone by now
            user.sendall(b"GET /version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert b'"version": "v1"' in user.makefile("rb").read()
        steps.close()  # the old one's forty are not waited for
    finally:
        target.stop()
