"""Who is meant: repositories by any of their addresses, apps by their own secret, as app.toml is now."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from tandem.triggers.repositories import same
from tests.triggers import hooks
from tests.triggers.conftest import SECRET, Open, write_app

OTHER = "the secret of another team, long enough"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://github.com/acme/shop.git", "git@github.com:acme/shop.git"),
        ("https://github.com/acme/shop", "ssh://git@ssh.github.com:443/acme/shop.git"),
        ("https://user:token@GitHub.com:443/Acme/shop/", "https://github.com/acme/Shop"),
        ("https://dev.azure.com/acme/my%20tools/_git/shop", "git@ssh.dev.azure.com:v3/acme/my%20tools/shop"),
        ("https://dev.azure.com/acme/_git/shop", "https://acme.visualstudio.com/shop/_git/shop"),
        ("file:///srv/git/shop.git", "/srv/git/shop"),
        ("git.example.org:shop.git", "ssh://git.example.org/shop"),
    ],
)
def test_addresses_of_one_repository_are_the_same(one: str, other: str) -> None:
    assert same(one) == same(other) != ""


@pytest.mark.parametrize(
    "other",
    [
        "https://github.com/acme/shopping",
        "https://gitlab.com/acme/shop",
        "https://github.com/acme",
        "",
        "https://[::1/x",
    ],
)
def test_other_addresses_are_not(other: str) -> None:
    assert same(other) != same("https://github.com/acme/shop")


def test_a_secret_reaches_only_the_apps_that_name_it(tmp_path: Path, open_receiver: Open) -> None:
    write_app(tmp_path, "shop")
    write_app(tmp_path, "twin")
    write_app(tmp_path, "other", secret="OTHER_SECRET")
    receiver = open_receiver({"SHOP_SECRET": SECRET, "OTHER_SECRET": OTHER})
    assert receiver.take(hooks.github().signed(SECRET)).json()["apps"] == ["shop", "twin"]
    assert receiver.take(hooks.github().signed(OTHER)).json()["apps"] == ["other"]


def test_a_secret_of_one_sender_is_none_of_another(tmp_path: Path, open_receiver: Open) -> None:
    write_app(tmp_path, "shop", hooks=("gitlab",))
    assert open_receiver().take(hooks.github().signed(SECRET)).status_code == 401


def test_this_very_repository_is_known_by_its_remote(tmp_path: Path, open_receiver: Open) -> None:
    for words in (["init", "-q"], ["remote", "add", "origin", "git@github.com:acme/shop.git"]):
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True)
    write_app(tmp_path, "shop", ".")
    receiver = open_receiver({"SHOP_SECRET": SECRET, "PATH": os.environ["PATH"]})
    assert receiver.take(hooks.github().signed(SECRET)).json()["apps"] == ["shop"]
    assert receiver.take(hooks.generic(name=str(tmp_path)).signed(SECRET)).json()["apps"] == ["shop"]


def until(receiver: object, sent: hooks.Sent, status: int, apps: list[str]) -> None:
    deadline = time.monotonic() + 120
    while True:
        answer = receiver.take(sent)  # type: ignore[attr-defined]
        if answer.status_code == status and answer.json()["apps"] == apps:
            return
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.02)


def test_a_changed_app_toml_holds_within_a_second(tmp_path: Path, open_receiver: Open) -> None:
    write_app(tmp_path, "shop", hooks=())
    receiver = open_receiver()
    until(receiver, hooks.github().signed(SECRET), 401, [])
    write_app(tmp_path, "shop")
    until(receiver, hooks.github().signed(SECRET), 202, ["shop"])
    write_app(tmp_path, "late", "https://github.com/acme/late")
    until(receiver, hooks.github(name="acme/late").signed(SECRET), 202, ["late"])
    (tmp_path / "deployments" / "shop" / "app.toml").unlink()
    again = hooks.Sent("github", hooks.github().headers, hooks.github().body + b" ")
    until(receiver, again.signed(SECRET), 202, [])


def test_a_hook_that_met_no_app_may_be_sent_again_once_app_toml_is_mended(tmp_path: Path, open_receiver: Open) -> None:
    write_app(tmp_path, "shop", "https://github.com/acme/shpo")
    receiver, sent = open_receiver(), hooks.github().signed(SECRET)
    assert receiver.take(sent).json()["status"] == "no app listens"
    write_app(tmp_path, "shop")
    until(receiver, sent, 202, ["shop"])


def test_a_broken_app_toml_stops_neither_its_own_hooks_nor_anothers(tmp_path: Path, open_receiver: Open) -> None:
    write_app(tmp_path, "shop")
    write_app(tmp_path, "other", "https://github.com/acme/other")
    receiver = open_receiver()
    (tmp_path / "deployments" / "shop" / "app.toml").write_text("[source\n")
    time.sleep(0.05)
    assert receiver.take(hooks.github(name="acme/other").signed(SECRET)).json()["apps"] == ["other"]
    assert "not TOML" in receiver.log.wait("its hooks stay as they were")
    assert receiver.take(hooks.github().signed(SECRET)).json()["apps"] == ["shop"]


@pytest.mark.parametrize("content", [b"\xff\x00", b"", b"a = " + b"[" * 100_000], ids=["bytes", "empty", "deep"])
def test_a_receiver_starts_where_an_app_toml_is_broken(tmp_path: Path, open_receiver: Open, content: bytes) -> None:
    write_app(tmp_path, "shop")
    (tmp_path / "deployments" / "broken").mkdir()
    (tmp_path / "deployments" / "broken" / "app.toml").write_bytes(content)
    assert open_receiver().take(hooks.github().signed(SECRET)).json()["apps"] == ["shop"]
