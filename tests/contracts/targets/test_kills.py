"""SIGKILL in the middle: what remains is clear, and the same call again mends it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tandem.errors import ReleaseFailed
from tandem.records import Image, Progress, Running
from tandem.targets import reach
from tandem.targets.launch import living
from tandem.targets.process import ProcessTarget

BringIn = Callable[[Image], list[Progress]]
Answer = Callable[[], dict[str, object]]
ROLL_OUT = """
import os, signal, sys
from pathlib import Path
from tandem.manifests import image_of
from tandem.registries import open_registry
from tandem.settings import VerifySettings
from tandem.targets.process import ProcessTarget

tmp, address, tag, last = sys.argv[1:]
target = ProcessTarget("digits", "local", Path(tmp) / "home", address, VerifySettings(ready="/readyz", time_limit=60))
image = image_of(open_registry(f"oci:{tmp}/registry", Path(tmp)), tag)
for progress in target.roll_out(image, target.state()):
    if last in progress.message:
        os.kill(os.getpid(), signal.SIGKILL)
"""


def roll_out_killed_at(step: str, process: ProcessTarget, tmp_path: Path, tag: str) -> None:
    argv = [sys.executable, "-c", ROLL_OUT, str(tmp_path), process.address, tag, step]
    assert subprocess.run(argv, timeout=120).returncode == -signal.SIGKILL


def wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "not so after 60 s"
        time.sleep(0.02)


def status(process: ProcessTarget) -> dict[str, object]:
    connection = reach.connect(process.folder)
    assert connection is not None
    with connection:
        return connection.ask("status")


@pytest.fixture
def kind() -> str:
    return "process"


@pytest.fixture
def target(process: ProcessTarget) -> ProcessTarget:
    return process


@pytest.mark.parametrize("step", ["started aside", "ready after"])
def test_a_flow_killed_before_the_switch_leaves_users_where_they_were(
    process: ProcessTarget,
    make_image: Callable[..., Image],
    bring_in: BringIn,
    answer: Answer,
    tmp_path: Path,
    step: str,
) -> None:
    one, two = make_image("v1"), make_image("v2")
    bring_in(one)
    roll_out_killed_at(step, process, tmp_path, "v2")
    assert answer()["version"] == "v1"
    wait(lambda: process.running().digests == (one.digest,))
    wait(lambda: len(reach.recorded(process.folder)["apps"]) == 1)
    bring_in(two)
    assert answer()["version"] == "v2"


def test_a_flow_killed_after_the_switch_leaves_the_new_one_serving_alone(
    process: ProcessTarget, make_image: Callable[..., Image], bring_in: BringIn, answer: Answer, tmp_path: Path
) -> None:
    two = make_image("v2")
    bring_in(make_image("v1"))
    roll_out_killed_at("users reach it", process, tmp_path, "v2")
    wait(lambda: process.running().digests == (two.digest,))
    assert bring_in(two)[-1].message.endswith("already")
    assert answer()["version"] == "v2"


def test_an_app_that_is_killed_is_started_again_and_its_users_wait(
    process: ProcessTarget, make_image: Callable[..., Image], bring_in: BringIn, answer: Answer
) -> None:
    bring_in(make_image("v1"))
    before = answer()["pid"]
    assert isinstance(before, int)
    os.kill(before, signal.SIGKILL)
    with suppress(httpx.HTTPError):  # what it was answering when it was killed is lost
        answer()
    wait(lambda: answer()["pid"] != before)
    current = status(process)["current"]
    assert isinstance(current, dict)
    assert (current["restarts"], current["exit"]) == (1, -signal.SIGKILL)
    assert process.running().restarts == 1


def test_an_app_that_crashes_again_and_again_is_reported(
    process: ProcessTarget, make_image: Callable[..., Image], bring_in: BringIn
) -> None:
    image = make_image("v1")
    bring_in(image)
    address = process.running().address

    def crashed() -> bool:
        with pytest.raises(httpx.HTTPError):
            httpx.get(f"{address}/crash", trust_env=False, timeout=5)
        return status(process)["current"]["state"] == "crash looping"  # type: ignore[index]

    wait(crashed)
    running = process.running()  # it is meant to run: asking it shows whose fault it is that it does not
    assert (running.digests, running.address) == ((image.digest,), address)
    assert running.restarts >= 3


@pytest.mark.parametrize("earlier", [(), ("v1",)])
def test_a_version_that_its_first_user_kills_is_to_blame(
    process: ProcessTarget, make_image: Callable[..., Image], bring_in: BringIn, earlier: tuple[str, ...]
) -> None:
    for version in earlier:
        bring_in(make_image(version))
    steps = process.roll_out(make_image("v2"), process.state())
    while "users reach it" not in next(steps).message:
        pass
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"{process.running().address}/crash", trust_env=False, timeout=60)
    with pytest.raises(ReleaseFailed, match=r"ended \(exit code 7\) just after users were led to it") as failed:
        list(steps)
    assert failed.value.fault == "candidate"
    assert "version v2 starts" in failed.value.log


@pytest.mark.parametrize("command", [("python", "app.py", "{listen}"), ("python", "app.py", "{port}")])
def test_a_holder_that_is_killed_is_replaced_by_the_next_call(
    process: ProcessTarget,
    make_image: Callable[..., Image],
    bring_in: BringIn,
    answer: Answer,
    command: tuple[str, ...],
) -> None:
    one = make_image("v1", command=command)
    bring_in(one)
    before = answer()["pid"]
    address = process.running().address
    record = reach.recorded(process.folder)
    os.kill(record["pid"], signal.SIGKILL)
    assert process.running().digests == (one.digest,)  # it serves on, or would: nobody restarts it
    list(process.resume())
    assert process.running() == Running((one.digest,), address)
    assert answer()["pid"] != before
    assert not living(Path(record["apps"][0]["life"]))


def test_after_a_power_cut_what_ran_is_resumed(
    process: ProcessTarget, make_image: Callable[..., Image], bring_in: BringIn, answer: Answer
) -> None:
    one = make_image("v1")
    bring_in(one)
    app, holder = int(str(answer()["pid"])), reach.recorded(process.folder)["pid"]
    os.kill(holder, signal.SIGKILL)
    os.kill(app, signal.SIGKILL)
    wait(lambda: process.running() == Running((), None))
    assert process.snapshot().content == {"digest": one.digest}
    list(process.resume())
    assert answer()["version"] == "v1"
