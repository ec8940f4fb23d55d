"""The template, asked as launch.py asks it, without a Prefect server: what is answered, forked and cleared up."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tandem.triggers import launch
from tandem.triggers.keep_warm import Warmth


def wait(condition, seconds=120.0):
    """What `condition` gives as soon as it gives anything."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "nothing came of it"
        time.sleep(0.02)
    return found


@pytest.fixture(scope="module")
def warmth(tmp_path_factory):
    """A template that takes requests, and ends with its worker, which is this process."""
    warmth = Warmth(tmp_path_factory.mktemp("run"), [], lambda: os.environ)
    warmth.keep()
    wait((warmth.folder / "current").exists)
    yield warmth
    process = warmth.current
    warmth.end()
    assert process.wait(60) == 0 and not warmth.folder.exists() and not list(warmth.register.iterdir())


def ask(warmth, body=None):
    template = socket.socket(socket.AF_UNIX)
    template.settimeout(120)
    template.connect(str(warmth.folder / "current"))
    template.sendall(launch.request() if body is None else body)
    return template


def forked(warmth):
    pid = warmth.current.pid
    return (Path(f"/proc/{pid}/task/{pid}/children")).read_text().split()


def test_who_gives_up_before_it_is_answered_has_no_run(warmth):
    with ask(warmth) as template:
        assert template.recv(1) == b"w"
    with ask(warmth) as template:  # the next is answered as before, and nothing was forked for the first
        assert template.recv(1) == b"w" and forked(warmth) == []


@pytest.fixture
def signals():
    """launch.py hands signals on: afterwards they are this process' own again."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("signals")
def test_the_exit_status_of_the_run_comes_back(warmth):
    with ask(warmth) as template:
        assert template.recv(1) == b"w"
        template.sendall(b"g")
        assert launch.stand_for_it(template) == 1  # Prefect's engine: no flow run is named


def test_a_run_whose_launcher_is_gone_is_killed(warmth):
    pid = wait(lambda: stopped(warmth))
    wait(lambda: str(pid) not in forked(warmth))


def stopped(warmth):
    """A run that would live on, and whose launcher is gone; None where it had ended before it could be stopped."""
    with ask(warmth) as template:
        assert template.recv(1) == b"w"
        template.sendall(b"g")
        pid = int.from_bytes(template.recv(4), "big")
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            return pid
    return None


@pytest.mark.parametrize("body", [b"", b"\0", b"\0\0\0\0", b"\0\0\0\4a\0bc", b"\xff\xff\xff\xff" + b"a" * 100])
def test_nonsense_is_refused_and_others_are_served(warmth, body):
    with ask(warmth, body) as template:
        template.shutdown(socket.SHUT_WR)
        assert template.recv(1) == b""
    with ask(warmth) as template:
        assert template.recv(1) == b"w" and warmth.current.poll() is None


def test_an_environment_that_imports_otherwise_is_sent_to_a_process_of_its_own(warmth, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    with ask(warmth) as template:
        assert template.recv(1) == b"c"


@pytest.mark.parametrize("folder", ["", "/nowhere"])
def test_without_a_template_the_launcher_becomes_prefects_engine(folder):
    env = os.environ | {"TANDEM_TEMPLATE": folder, "PREFECT__FLOW_RUN_ID": "none"}
    done = subprocess.run([sys.executable, "-I", "-S", launch.__file__], env=env, capture_output=True, text=True)
    assert done.returncode == 1 and "Invalid flow run id" in done.stderr
