"""An image is tried before it becomes a candidate, and nothing of the trial is left."""

import fcntl
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tandem.errors import ImageFailed, NotInRegistry, ReleaseFailed
from tandem.records import Image
from tandem.settings import Request, VerifySettings
from tandem.targets.launch import MARK, strays
from tandem.targets.trial import Trial, try_image

Make = Callable[..., Image]
ASKS = Request(path="/version", contains='"version": "v', within=60)
VERIFY = VerifySettings(ready="/readyz", request=(ASKS,))
LISTEN = ("python", "app.py", "{listen}")


def tried(image: Image, tmp_path: Path, time_limit: float = 60, stop_limit: float = 60) -> Trial:
    verify = VERIFY.model_copy(update={"time_limit": time_limit})
    try:
        return try_image(image, verify, tmp_path / "trials", tmp_path / "cache", stop_limit)
    finally:
        assert [path.name for path in (tmp_path / "trials").iterdir()] == [".lock"]


@pytest.mark.parametrize("command", [LISTEN, ("python", "app.py", "{port}")])
def test_an_image_that_works_says_how_long_each_thing_took(
    app_image: Make, tmp_path: Path, command: tuple[str, ...]
) -> None:
    trial = tried(app_image("v1", command=command), tmp_path)
    assert 0 < trial.ready_seconds < 60
    assert [check.ok for check in trial.checks] == [True]
    assert 0 < trial.stop_seconds < 60
    assert "ready after" in str(trial)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("crash", r"the app ended \(exit code 1\)(.|\n)*it cannot find its model"),
        ("never-ready", r"did not answer 200 within \d+ s"),
        ("wrong", r"GET /version: expected"),
        ("stubborn", r"did not end within 0.5 s of SIGTERM"),
    ],
)
def test_an_image_that_does_not_work_fails_with_what_it_printed(
    app_image: Make, tmp_path: Path, how: str, says: str
) -> None:
    image, printed = app_image("v1", how), f"version v1 starts {how}"
    for limit in (1, 10, 60) if how == "never-ready" else (60,):  # a busy machine may print nothing within the first
        with pytest.raises(ImageFailed, match=says) as failed:
            tried(image, tmp_path, limit, 0.5)
        if printed in str(failed.value):
            break
    assert printed in str(failed.value)


@pytest.mark.skipif(sys.platform != "linux", reason="processes that left their group are only found on Linux")
def test_a_process_that_left_the_apps_group_is_ended_too(app_image: Make, tmp_path: Path) -> None:
    (tmp_path / "trials").mkdir()
    tried(app_image("v1", "fork"), tmp_path)
    left = [p for p in Path("/proc").glob("[0-9]*/cmdline") if str(tmp_path).encode() in _read(p)]
    assert left == []
    assert strays(tmp_path) == []


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes() + (path.parent / "environ").read_bytes()
    except OSError:
        return b""


def test_an_app_that_binds_its_own_port_is_tried_there(app_image: Make, tmp_path: Path, free_port: int) -> None:
    tried(app_image("v1", command=("python", "app.py", str(free_port)), port=free_port), tmp_path)


def test_a_port_that_the_app_does_not_bind_is_pointed_out(app_image: Make, tmp_path: Path, free_port: int) -> None:
    image = app_image("v1", command=("python", "app.py", "0"), port=free_port)  # it binds a free port instead
    with pytest.raises(ImageFailed, match=rf"nothing listens on {free_port}; is that the port it binds"):
        tried(image, tmp_path, 1)


def test_where_that_port_is_taken_it_is_tried_in_a_network_of_its_own_or_not_at_all(
    app_image: Make, tmp_path: Path, free_port: int
) -> None:
    image = app_image("v1", command=("python", "app.py", str(free_port)), port=free_port)
    bubble = subprocess.run(["bwrap", "--dev-bind", "/", "/", "--unshare-net", "true"], check=False).returncode == 0
    with socket.create_server(("127.0.0.1", free_port)):
        if bubble:
            tried(image, tmp_path)
        else:
            with pytest.raises(ReleaseFailed, match="is taken by another program"):
                tried(image, tmp_path)


def test_an_image_that_cannot_be_fetched_is_not_called_bad(app_image: Make, tmp_path: Path) -> None:
    image = app_image("v1")
    for blob in (tmp_path / "registry" / "blobs" / "sha256").iterdir():
        blob.unlink()
    with pytest.raises(NotInRegistry):
        tried(image, tmp_path)


def test_a_trial_that_was_killed_is_cleared_away_by_the_next(app_image: Make, tmp_path: Path) -> None:
    app_image("v1", "never-ready")
    code = f"""
import sys; from pathlib import Path
from tandem.manifests import image_of; from tandem.registries import open_registry
from tandem.settings import VerifySettings; from tandem.targets.trial import try_image
tmp = Path({str(tmp_path)!r})
image = image_of(open_registry(f"oci:{{tmp}}/registry", tmp), "v1")
try_image(image, VerifySettings(ready="/readyz"), tmp / "trials", tmp)
"""
    trial = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.monotonic() + 60
    while not (pids := [pid for pid in tmp_path.glob("trials/*/pid") if pid.read_text()]):  # whom the next one ends
        assert time.monotonic() < deadline
        time.sleep(0.02)
    life = pids[0].with_name("life")
    trial.kill()
    trial.wait()
    assert strays(life) or sys.platform != "linux"
    tried(app_image("v2"), tmp_path)
    assert strays(life) == []


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody sees another program's environment")
def test_what_a_trial_left_that_was_killed_before_it_wrote_its_pid_is_ended(app_image: Make, tmp_path: Path) -> None:
    scratch = tmp_path / "trials" / "000000-left"
    scratch.mkdir(parents=True)
    for name in ("pid", "lock"):
        (scratch / name).touch()
    with (scratch / "life").open("w") as life:
        fcntl.flock(life, fcntl.LOCK_EX)
        left = subprocess.Popen(["sleep", "600"], env={MARK: life.name}, pass_fds=(life.fileno(),))
    tried(app_image("v1"), tmp_path)
    assert left.wait(60) == -signal.SIGKILL and not scratch.exists()
