"""`process:` beyond the contract: the address, apps that take no socket, what an app may see, what is left."""

import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tandem.errors import ReleaseFailed, SettingsError
from tandem.records import Image, Progress, Running
from tandem.settings import Request, Settings, VerifySettings
from tandem.targets import launch, open_target, reach
from tandem.targets.process import ProcessTarget
from tandem.targets.wire import socket_path

Make = Callable[..., Image]
ASKS = Request(path="/version", contains='"version": "v', within=60)
VERIFY = VerifySettings(ready="/readyz", time_limit=60, request=(ASKS,))
Open = Callable[..., ProcessTarget]


@pytest.fixture
def open_process(tmp_path: Path) -> Iterator[Open]:
    """open_process(address): the target there; all of it ends with the test."""
    opened: list[ProcessTarget] = []

    def open_process(address: str, environment: str = "local") -> ProcessTarget:
        opened.append(ProcessTarget("digits", environment, tmp_path / "home", address, VERIFY))
        return opened[-1]

    yield open_process
    for target in opened:
        target.stop()


def bring_in(target: ProcessTarget, image: Image) -> list[Progress]:
    return list(target.roll_out(image, target.state()))


def get(target: ProcessTarget, path: str = "/version") -> dict[str, object]:
    found: dict[str, object] = httpx.get(f"{target.running().address}{path}", trust_env=False, timeout=60).json()
    return found


def test_a_taken_port_is_left_alone_and_the_next_one_is_said(
    app_image: Make, open_process: Open, free_port: int
) -> None:
    with socket.create_server(("127.0.0.1", free_port)):
        target = open_process(f"127.0.0.1:{free_port}")
        said = bring_in(target, app_image("v1"))
        address = target.running().address
        assert address != f"http://127.0.0.1:{free_port}"
        assert any("was taken by another program" in each.message and str(address) in each.message for each in said)
        assert get(target)["version"] == "v1"


def test_two_environments_on_one_port_do_not_share_it(app_image: Make, open_process: Open, free_port: int) -> None:
    one, two = open_process(f"127.0.0.1:{free_port}"), open_process(f"127.0.0.1:{free_port}", "other")
    bring_in(one, app_image("v1"))
    bring_in(two, app_image("v2"))
    assert [get(one)["version"] for _ in range(5)] == ["v1"] * 5
    assert [get(two)["version"] for _ in range(5)] == ["v2"] * 5


def test_an_address_that_is_not_this_machines_is_said(app_image: Make, open_process: Open) -> None:
    with pytest.raises(ReleaseFailed, match=r"203\.0\.113\.7:80 could not be held: ") as no:
        bring_in(open_process("203.0.113.7:80"), app_image("v1"))
    assert no.value.fault == "environment"


@pytest.mark.parametrize(
    ("host", "command"),
    [
        ("127.0.0.1", ("python", "app.py", "{port}")),
        ("[::1]", ("python", "app.py", "{listen}")),  # where connections cannot be steered they are forwarded
        ("0.0.0.0", ("python", "app.py", "{listen}")),
    ],
)
def test_an_app_is_reached_wherever_it_is_to_listen(
    app_image: Make, open_process: Open, free_port: int, host: str, command: tuple[str, ...]
) -> None:
    target = open_process(f"{host}:{free_port}")
    for version in ("v1", "v2"):
        bring_in(target, app_image(version, command=command))
        assert get(target)["version"] == version


def test_an_app_with_a_fixed_port_is_swapped_while_its_users_wait(
    app_image: Make, open_process: Open, free_port: int, unused_port: int
) -> None:
    target = open_process(f"127.0.0.1:{free_port}")
    command = ("python", "app.py", str(unused_port))
    bring_in(target, app_image("v1", command=command, port=unused_port))
    answers, over = [], threading.Event()

    def use() -> None:
        while not over.is_set():
            answers.append(httpx.get(f"http://127.0.0.1:{free_port}/version", trust_env=False, timeout=60).json())

    user = threading.Thread(target=use)
    user.start()
    while not answers:
        time.sleep(0.01)
    said = bring_in(target, app_image("v2", command=command, port=unused_port))
    with pytest.raises(ReleaseFailed, match="expected"):
        bring_in(target, app_image("v3", "wrong", command=command, port=unused_port))
    over.set()
    user.join()
    assert any("users wait" in each.message for each in said)
    assert {answer["version"] for answer in answers} == {"v1", "v2"}
    assert get(target)["version"] == "v2"


def test_a_fixed_port_that_is_the_address_is_refused_with_what_to_do(
    app_image: Make, open_process: Open, free_port: int
) -> None:
    with pytest.raises(ReleaseFailed, match=r"give .* another address") as refused:
        bring_in(
            open_process(f"127.0.0.1:{free_port}"),
            app_image("v1", command=("python", "app.py", str(free_port)), port=free_port),
        )
    assert refused.value.fault == "environment"


@pytest.mark.parametrize("command", [("python", "app.py", "{listen}"), ("python", "app.py", "{port}")])
def test_users_never_meet_a_version_that_is_not_ready_yet(
    app_image: Make, open_process: Open, free_port: int, command: tuple[str, ...]
) -> None:
    target = open_process(f"127.0.0.1:{free_port}")
    bring_in(target, app_image("v1", command=command))
    seen, over = set(), threading.Event()

    def use() -> None:
        while not over.is_set():
            seen.add(httpx.get(f"http://127.0.0.1:{free_port}/version", trust_env=False, timeout=60).json()["version"])

    user = threading.Thread(target=use)
    user.start()
    bring_in(target, app_image("v2", "slow", command=command))
    over.set()
    user.join()
    assert seen | {get(target)["version"]} == {"v1", "v2"}  # the user may not have come again since the switch


def test_the_app_sees_none_of_our_secrets(
    app_image: Make, open_process: Open, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_KEY", "secret-1")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    target = open_process(f"127.0.0.1:{free_port}")
    bring_in(target, app_image("v1"))
    seen = get(target, "/environment")
    assert "secret-1" not in str(seen)
    assert seen["LC_ALL"] == "C.UTF-8"
    assert seen["HOME"] != os.environ.get("HOME")
    if sys.platform == "linux":
        holder = Path(f"/proc/{reach.recorded(target.folder)['pid']}/environ").read_bytes()
        assert b"secret-1" not in holder


def test_stop_leaves_no_process_and_resume_brings_back_what_ran(
    app_image: Make, open_process: Open, free_port: int
) -> None:
    target, image = open_process(f"127.0.0.1:{free_port}"), app_image("v1", "fork")
    bring_in(target, image)
    lives = [Path(app["life"]) for app in reach.recorded(target.folder)["apps"]]
    target.stop()
    assert target.running() == Running((), None)
    assert [launch.strays(life) for life in lives] == [[]]
    with socket.create_server(("127.0.0.1", free_port)):
        pass
    list(target.resume())
    assert (target.running().digests, get(target)["version"]) == ((image.digest,), "v1")
    assert list(target.resume()) == []


def test_a_stopped_environment_can_be_stopped_again_and_has_nothing_to_resume(open_process: Open) -> None:
    target = open_process("127.0.0.1:0")
    target.stop()
    target.stop()
    assert list(target.resume()) == []


def test_an_app_that_ignores_sigterm_does_not_keep_users_from_the_new_one(
    app_image: Make, open_process: Open, free_port: int
) -> None:
    target = open_process(f"127.0.0.1:{free_port}")
    bring_in(target, app_image("v1", "stubborn"))
    steps = target.roll_out(app_image("v2"), target.state())
    while "users reach it" not in next(steps).message:
        pass
    assert get(target)["version"] == "v2"
    os.kill(int(str(reach.recorded(target.folder)["apps"][0]["pid"])), 9)  # it would be killed after 30 s
    list(steps)


def test_a_folder_too_deep_for_a_socket_has_it_elsewhere(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["a-rather-long-name"] * 6)
    assert len(os.fsencode(socket_path(deep))) <= 100
    assert socket_path(deep) != socket_path(deep / "another")


def test_a_log_that_grows_is_cut_and_its_writer_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"x" * (launch.LOG_LIMIT + 10))
        launch.bound(log)
        writer.write(b"after\n")
    assert log.read_bytes() == b"after\n"
    assert (tmp_path / "app.log.1").stat().st_size == launch.LOG_LIMIT


def test_the_holder_is_small(app_image: Make, open_process: Open, free_port: int) -> None:
    target = open_process(f"127.0.0.1:{free_port}")
    with reach.holder(target.folder, target.address) as holder:
        pid = holder.ask("status")["pid"]
    if sys.platform == "linux":
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        assert int(status["VmRSS"].split()[0]) < 25_000


def test_a_target_that_nobody_knows_is_refused_with_those_there_are(tmp_path: Path) -> None:
    folder = tmp_path / "deployments" / "digits"
    folder.mkdir(parents=True)
    (folder / "app.toml").write_text(
        '[model]\nstore = "file://models"\nname = "digits"\n[image]\nregistry = "oci:registry"\n'
        '[environments.local]\ntarget = "process:"\n[environments.moon]\ntarget = "moon://base"\n'
    )
    settings = Settings.load("digits", tmp_path)
    assert isinstance(open_target(settings, "local"), ProcessTarget)
    with pytest.raises(SettingsError, match=r"moon\.target: 'moon://base' is no target .*: process:"):
        open_target(settings, "moon")
