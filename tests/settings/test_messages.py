"""[messages] and statuses in app.toml: what is wrong is said with what is allowed."""

from pathlib import Path

import pytest

from tandem.errors import SettingsError
from tandem.settings import Settings

APP = '[model]\nstore = "file://store"\nname = "m"\n[image]\nregistry = "oci:registry"\n'


def load(root: Path, text: str) -> Settings:
    folder = root / "deployments" / "shop"
    folder.mkdir(parents=True)
    (folder / "app.toml").write_text(APP + text)
    return Settings.load("shop", root)


def test_nobody_is_told_by_default_and_who_is_told_hears_everything(tmp_path: Path) -> None:
    wish = load(tmp_path, '[messages]\nto = [{ env = "TEAM_CHAT" }]').toml.messages
    assert len(wish.to) == 1 and len(wish.on) == 7
    assert load(tmp_path / "other", "").toml.messages.to == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[messages]\non = ["deployed"]', "messages.on.0: Input should be 'integrate failed', 'released'"),
        ('[messages]\nto = ["slack://token"]', "messages.to.0"),
        ('[messages]\nto = [{ env = "A", block = "slack-webhook/b" }]', "name one place"),
        ('[messages]\ncc = [{ env = "A" }]', "messages.cc"),
        ('[source]\nforge = "sourcehut"', "source.forge: Input should be 'github', 'gitlab'"),
        ('[source]\napi = "https://ann:token@git.example.org"', "source.api"),
        ('[source]\napi = "git.example.org"', "source.api"),
        ('[source]\nstatus = "ghp_token"', "source.status"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        load(tmp_path, text)
    assert says in str(refusal.value) and "token" not in str(refusal.value)
