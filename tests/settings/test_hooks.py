"""[hooks]: whom the receiver hears, and where the secret is."""

from pathlib import Path
from typing import get_args

import pytest

from tandem.errors import SettingsError
from tandem.settings import Settings
from tandem.settings.tables import HookSender
from tandem.triggers.senders import SENDERS

LEAST = '[model]\nstore = "file://store"\nname = "m"\n[image]\nregistry = "oci:registry"\n'


def load(root: Path, more: str) -> Settings:
    folder = root / "deployments" / "shop"
    folder.mkdir(parents=True)
    (folder / "app.toml").write_text(LEAST + more)
    return Settings.load("shop", root)


def test_nobody_is_heard_by_default(tmp_path: Path) -> None:
    assert load(tmp_path, "").toml.hooks == {}


def test_a_senders_secret_is_named_by_its_variable(tmp_path: Path) -> None:
    hooks = load(tmp_path, '[hooks]\ngithub = { env = "GITHUB_HOOK_SECRET" }\n').toml.hooks
    assert hooks["github"].env == "GITHUB_HOOK_SECRET"


def test_each_sender_of_the_receiver_may_stand_there_and_no_other() -> None:
    assert set(get_args(HookSender)) == set(SENDERS)


@pytest.mark.parametrize("line", ['githab = { env = "X" }', 'github = "secret"', 'github = { env = "a secret!" }'])
def test_what_is_wrong_is_said_with_its_key(tmp_path: Path, line: str) -> None:
    with pytest.raises(SettingsError, match=r"hooks\.git"):
        load(tmp_path, f"[hooks]\n{line}\n")
