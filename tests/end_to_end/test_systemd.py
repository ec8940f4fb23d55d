"""docs/tandem.service under a real systemd: booted, its supervisor killed, upgraded, all killed, stopped."""

import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest

from tandem.cli import children
from tandem.triggers import runs
from tests.end_to_end.service import commit, prepared, publish, until
from tests.end_to_end.systemd import systemd, unit

CHECKOUT = Path(__file__).parents[2]
TANDEM = Path(sys.executable).with_name("tandem")
PARTS = ("server", "worker", "receiver")
HERE = version("tandem-pipeline")


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    """Booted once, with the tiny app released; and its root."""
    if os.geteuid() != 0 or not shutil.which("systemd-analyze"):
        pytest.skip("a systemd of the tests' own needs systemd, and root")
    folder = tmp_path_factory.mktemp("systemd")
    stub = str(CHECKOUT / "tests" / "cli" / "stub")
    up = prepared(folder / "shop", PYTHONPATH=os.pathsep.join([str(folder / "newer"), stub]))
    secrets = folder / "tandem.env"
    secrets.write_text("".join(f'{name}="{value}"\n' for name, value in up.env().items()))
    secrets.chmod(0o600)
    changes = {"User=tandem": "User=root", "/srv/shop/.venv/bin/tandem": str(TANDEM), "/etc/tandem.env": str(secrets)}
    text = unit(CHECKOUT / "docs" / "tandem.service", {**changes, "=/srv/shop": f"={up.root}"})
    with systemd(folder, text) as made:
        made.boot()
        up.becomes_whole()
        publish(up)
        up.tandem("integrate", "tiny")
        assert released(up) == "COMPLETED"
        yield made, up


def released(up) -> str:
    """A release that the worker runs: the app lives in systemd's namespace."""
    return up.over(runs.start("release/tiny-local", {"app": "tiny", "environment": "local"}, api=up.api()))


def answers(up) -> bool:
    """Whether the app that was released does."""
    try:
        return httpx.get(f"http://127.0.0.1:{up.port}/", timeout=5).status_code < 500
    except httpx.HTTPError:
        return False


def test_systemd_finds_nothing_to_say_about_the_unit(machine):
    made, _ = machine
    argv = ["systemd-analyze", "verify", "--man=no", str(made.units / "tandem.service")]
    env = {**os.environ, "SYSTEMD_UNIT_PATH": str(made.units)}
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_a_killed_supervisor_is_started_again_and_finds_what_goes_on(machine):
    made, up = machine
    parts, main = {name: up.pid(name) for name in PARTS}, made.shown("MainPID")
    restarts = int(made.shown("NRestarts"))
    run, _ = up.sleepy(10)
    made.systemctl("kill", "--kill-who=main", "--signal=KILL", "tandem")
    until(lambda: made.shown("MainPID") not in ("0", main), 120)
    up.becomes_whole()
    assert int(made.shown("NRestarts")) == restarts + 1
    assert parts == {name: up.pid(name) for name in PARTS}
    assert up.over(run) == "COMPLETED" and answers(up)


def test_an_upgrade_and_a_restart_run_the_new_version_and_keep_what_was(machine):
    made, up = machine
    before, parts = up.state(), {name: up.pid(name) for name in PARTS}
    assert HERE in children.find(up.root, "worker").about
    newer = up.root.parent / "newer"
    install("99.0.0", newer, up.root.parent / "source")
    made.systemctl("restart", "tandem")
    up.becomes_whole()
    about = {name: children.find(up.root, name).about for name in PARTS}
    assert all("99.0.0" in each for each in about.values()), about
    assert not set(parts.values()) & {up.pid(name) for name in PARTS}
    assert up.state() == before and answers(up)
    commit(up)
    up.tandem("integrate", "tiny")
    assert released(up) == "COMPLETED" and len(up.state()["history"]) == 2


def install(number: str, folder: Path, source: Path) -> None:
    """This Tandem under another version's number, as pip installs it, before the one that is there."""
    wanted = ("tandem", "flows", "pyproject.toml", "README.md", "LICENSE")
    for name in wanted:
        there = CHECKOUT / name
        copy = shutil.copytree if there.is_dir() else shutil.copy
        source.mkdir(exist_ok=True)
        copy(there, source / name)
    toml = source / "pyproject.toml"
    toml.write_text(toml.read_text().replace(f'version = "{HERE}"', f'version = "{number}"'))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", "--target", str(folder), str(source)], check=True)


def test_after_all_was_killed_at_once_a_boot_makes_it_whole(machine):
    made, up = machine
    run, _ = up.sleepy(300)
    made.kill()
    until(lambda: not up.processes() and not answers(up), 60, up.processes)
    made.boot()
    up.becomes_whole()
    until(lambda: answers(up), 60, up.log)  # `tandem up` starts what served
    assert up.over(run) == "CRASHED"


def test_stopped_it_ends_all_but_what_it_released(machine):
    made, up = machine
    made.systemctl("stop", "tandem")
    assert made.shown("ActiveState") == "inactive" and made.shown("Result") == "success"
    until(lambda: not up.processes(), 60, up.processes)
    assert answers(up)
