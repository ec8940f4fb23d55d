"""`tandem say`: whether it arrives, before there is anything to tell."""

import os
import subprocess
import sys
from pathlib import Path

from tests.messages.doubles import Web

APP = '[model]\nstore = "file://store"\nname = "m"\n[image]\nregistry = "oci:registry"\n'


def say(root: Path, more: str, **env: str) -> subprocess.CompletedProcess[str]:
    folder = root / "deployments" / "shop"
    folder.mkdir(parents=True)
    (folder / "app.toml").write_text(APP + more)
    command = [sys.executable, "-c", "from tandem.cli import main; main()", "say", "shop", "Hello @all"]
    surroundings = os.environ | env | {"TANDEM_ROOT": str(root)}
    return subprocess.run(command, env=surroundings, cwd=root, capture_output=True, text=True, timeout=120)


def test_each_receiver_is_shown_with_how_it_went(tmp_path: Path, hook: Web) -> None:
    done = say(tmp_path, '[messages]\nto = [{ env = "TEAM_CHAT" }, { env = "NOBODY" }]', TEAM_CHAT=hook.json_url)
    assert done.returncode == 1 and done.stdout.splitlines() == [
        "✓ TEAM_CHAT (json 127.0.0.1)",
        "✗ NOBODY: messages.to: the environment variable NOBODY is not set here",
    ]
    assert "Hello" in hook.posted[0].json()["message"] and "sekret" not in done.stdout + done.stderr


def test_an_app_that_tells_nobody_says_so(tmp_path: Path) -> None:
    done = say(tmp_path, "")
    assert done.returncode == 2 and "name receivers in [messages] to" in done.stderr
