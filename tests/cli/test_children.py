"""Processes that outlive their command: found while they live, never mistaken for another."""

import json
import os
import signal
import sys
import time

import pytest

from tandem.cli import children
from tandem.errors import TandemError

SLEEP = [sys.executable, "-c", "import time; print('slept', flush=True); time.sleep(60)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(60)",
]


def test_a_child_is_found_until_it_dies_by_whatever_hand(tmp_path):
    child = children.start(tmp_path, "sleeper", SLEEP, os.environ, about="a test")
    assert children.find(tmp_path, "sleeper") == child
    os.kill(child.pid, signal.SIGKILL)
    os.waitpid(child.pid, 0)
    assert children.find(tmp_path, "sleeper") is None
    assert not children.stop(tmp_path, "sleeper")


def test_a_file_that_names_a_strangers_process_finds_nothing(tmp_path):
    folder = tmp_path / ".tandem/run"
    folder.mkdir(parents=True)
    (folder / "sleeper.json").write_text(json.dumps({"name": "sleeper", "pid": os.getpid(), "about": ""}))
    assert children.find(tmp_path, "sleeper") is None
    assert not children.stop(tmp_path, "sleeper")  # or this test would end itself


def test_there_is_only_one_of_a_name(tmp_path):
    children.start(tmp_path, "sleeper", SLEEP, os.environ)
    with pytest.raises(TandemError, match="runs already"):
        children.start(tmp_path, "sleeper", SLEEP, os.environ)
    assert children.stop(tmp_path, "sleeper")


def test_one_that_ignores_sigterm_is_killed(tmp_path):
    child = children.start(tmp_path, "stubborn", STUBBORN, os.environ)
    while not children.last_words(tmp_path, "stubborn"):
        time.sleep(0.01)
    assert children.stop(tmp_path, "stubborn", patience=0.2)
    assert children.find(tmp_path, "stubborn") is None
    with pytest.raises(ProcessLookupError):
        while True:  # until the kernel has taken it away
            os.kill(child.pid, 0)
            os.waitpid(child.pid, 0)


def test_another_process_is_ended_only_when_its_environment_says_it_is_the_one(tmp_path):
    child = children.start(tmp_path, "run", SLEEP, os.environ | {"PREFECT__FLOW_RUN_ID": "one"})
    while not children.last_words(tmp_path, "run"):
        time.sleep(0.01)
    assert not children.end_other(child.pid, "PREFECT__FLOW_RUN_ID=on")
    assert children.find(tmp_path, "run")
    assert children.end_other(child.pid, "PREFECT__FLOW_RUN_ID=one", patience=60)  # or SIGKILL ends it first
    assert os.waitpid(child.pid, 0)[1] == signal.SIGTERM
    assert children.find(tmp_path, "run") is None
