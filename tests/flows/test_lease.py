"""A release whose process is killed, on the real server: its lock is free in time, and the environment whole."""

import signal
import time

import pytest

from tandem.flows import backends
from tandem.flows.integrate import integrate
from tandem.flows.lock import LEASE
from tandem.flows.reconcile import reconcile
from tandem.records import State
from tandem.settings import Settings

SLOW = '[[environments.local.verify.request]]\npath = "/slow"\nwithin = "240s"'


def state() -> State:
    return backends.target(Settings.load("tiny"), "local").state().value


@pytest.mark.more(SLOW)
def test_two_minutes_after_its_release_was_killed_an_environment_is_whole_and_its_lock_free(line) -> None:
    candidate = integrate("tiny")
    with line.held("verify"):
        began = time.monotonic()
        process = line.start("from tandem.flows.release import release; release('tiny', 'local')")
        line.until(lambda: (under_way := state().under_way) and under_way.step == "verify", process)
        process.send_signal(signal.SIGKILL)
        process.wait()
    killed = time.monotonic()
    reconcile("tiny")
    kept = state().under_way is not None or time.monotonic() - began > LEASE  # a slow machine may outlast it
    assert kept, "the lock is kept for as long as its lease: the run might live"
    while state().under_way:  # two minutes, and what a machine with much else to do adds
        assert time.monotonic() - killed < 300, state().under_way
        reconcile("tiny")
    assert state().current.candidate == candidate and state().blocks == ()
