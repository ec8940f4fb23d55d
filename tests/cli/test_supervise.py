"""What the supervisor sees and when it mends: its parts are real processes here, what mends them is the test's."""

import fcntl
import http.server
import os
import signal
import socket
import sys
import threading
from itertools import pairwise

import pytest

from tandem.cli import children, environment, logs
from tandem.cli.supervise import CALM, PROBE_EVERY, PULSE, SILENT, Supervisor, answers
from tandem.errors import TandemError

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


class Time:
    """A clock that goes when it is told to."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def watch(tmp_path):
    """A supervisor, its clock, the times at which it mended, and what it said; mending starts a dead worker again."""
    clock, mended, said = Time(), [], []

    def mend() -> bool:
        mended.append(clock.now)
        if not children.find(tmp_path, "worker"):
            children.start(tmp_path, "worker", SLEEP, os.environ)
        return True

    children.start(tmp_path, "worker", SLEEP, os.environ)
    os.utime(children.folder(tmp_path) / "worker.json", (clock.now, clock.now))
    yield Supervisor(tmp_path, mend, said.append, clock, clock), clock, mended, said
    for name in children.named(tmp_path, ""):
        children.stop(tmp_path, name, patience=0.1)


def kill(root, name):
    child = children.find(root, name)
    os.kill(child.pid, signal.SIGKILL)
    os.waitpid(child.pid, 0)


def test_what_lives_is_left_alone_and_what_was_never_started_is_not_missed(watch):
    supervisor, _, mended, said = watch
    supervisor.turn()
    assert (mended, said) == ([], [])


def test_what_died_is_started_again_at_once_with_one_line(watch):
    supervisor, _, mended, said = watch
    kill(supervisor.root, "worker")
    supervisor.turn()
    assert len(mended) == 1 and said == ["worker: gone, start again"]
    assert children.find(supervisor.root, "worker")
    supervisor.turn()
    assert len(mended) == 1


def test_what_keeps_dying_is_started_ever_more_slowly_and_at_once_again_after_a_calm_time(watch):
    supervisor, clock, mended, _ = watch
    for _ in range(400):
        if children.find(supervisor.root, "worker"):
            kill(supervisor.root, "worker")
        supervisor.turn()
        clock.now += 1
    pauses = [later - earlier for earlier, later in pairwise(mended)]
    assert pauses[:6] == [1, 2, 4, 8, 16, 32] and set(pauses[6:]) == {60}
    clock.now = mended[-1] + CALM + 1
    os.utime(children.folder(supervisor.root) / "worker.json", (clock.now, clock.now))
    supervisor.turn()
    assert mended[-1] == clock.now
    kill(supervisor.root, "worker")
    before = clock.now
    clock.now += CALM + 1
    supervisor.turn()
    assert mended[-1] == before + CALM + 1


def test_while_an_up_or_down_is_at_work_nothing_is_missed(watch):
    supervisor, _, mended, _ = watch
    kill(supervisor.root, "worker")
    with (supervisor.root / ".tandem" / "up.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        supervisor.turn()
        assert mended == []
    supervisor.turn()
    assert len(mended) == 1


def test_a_worker_without_a_pulse_is_ended_and_started_again(watch):
    supervisor, clock, mended, said = watch
    hung = children.find(supervisor.root, "worker").pid
    os.kill(hung, signal.SIGSTOP)
    clock.now += PULSE + 1
    for _ in range(SILENT - 1):
        supervisor.turn()
        clock.now += PROBE_EVERY
    assert mended == []
    supervisor.turn()
    assert said[0] == "worker: does not answer, ended" and len(mended) == 1
    assert children.find(supervisor.root, "worker").pid != hung


def test_one_missed_probe_is_forgotten_after_an_answer(watch):
    supervisor, clock, mended, _ = watch
    for _ in range(10):
        os.utime(children.folder(supervisor.root) / "worker.json", (clock.now, clock.now))
        clock.now += PROBE_EVERY
        supervisor.turn()
        clock.now += PULSE + PROBE_EVERY  # a machine that slept
        supervisor.turn()
    assert mended == []


def test_a_server_that_accepts_and_never_answers_does_not_answer():
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        assert not answers(f"http://127.0.0.1:{deaf.getsockname()[1]}/health", within=0.3)
        port = deaf.getsockname()[1]
    assert not answers(f"http://127.0.0.1:{port}/health")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as refuses:
        threading.Thread(target=refuses.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        assert answers(f"http://127.0.0.1:{refuses.server_port}/health", within=60)  # 501 is an answer
        refuses.shutdown()


def test_a_log_begins_anew_when_it_grew_and_its_writer_goes_on(tmp_path):
    file = children.log(tmp_path, "server")
    file.parent.mkdir(parents=True)
    with file.open("ab") as writer:
        writer.write(b"old\n" * 100)
        writer.flush()
        logs.bound(tmp_path, limit=1000)
        assert file.stat().st_size == 400  # not yet
        logs.bound(tmp_path, limit=300)
        writer.write(b"new\n")
    assert file.read_bytes() == b"new\n" and file.with_name("server.log.1").read_bytes() == b"old\n" * 100


def test_a_process_may_take_a_name_for_itself_and_is_found_by_it(tmp_path):
    held = children.hold(tmp_path, "supervisor", "a test")
    assert children.find(tmp_path, "supervisor") == children.Child("supervisor", os.getpid(), "a test")
    with pytest.raises(TandemError, match="runs already"):
        children.start(tmp_path, "supervisor", SLEEP, os.environ)
    os.close(held)
    assert children.find(tmp_path, "supervisor") is None


def test_what_is_noted_of_addresses_survives_a_half_written_file(tmp_path):
    (tmp_path / ".tandem").mkdir()
    environment.note(tmp_path, "url", "http://127.0.0.1:1/api")
    environment.note(tmp_path, "receiver", "http://127.0.0.1:2")
    assert environment.known(tmp_path, "url") == "http://127.0.0.1:1/api"
    (tmp_path / ".tandem" / "up.json").write_text('{"url": "htt')
    assert environment.known(tmp_path, "url") is None
    environment.note(tmp_path, "url", "http://127.0.0.1:3/api")
    assert environment.known(tmp_path, "url") == "http://127.0.0.1:3/api"
