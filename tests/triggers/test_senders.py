"""Each sender's own request starts its app's reconcile; whatever is not quite that does not."""

import pytest

from tests.triggers.conftest import SECRET, Open, Receiver, write_app
from tests.triggers.hooks import PUSHES, Sent

REPOSITORIES = {  # what app.toml says, in a form that the sender does not use
    "github": "git@GitHub.com:Acme/Shop",
    "gitea": "https://gitea.example.org/acme/shop/",
    "gitlab": "ssh://git@gitlab.example.org/acme/shop.git",
    "azure-devops": "git@ssh.dev.azure.com:v3/acme/tools/shop",
    "bitbucket": "git@bitbucket.org:acme/shop.git",
    "event-grid": "https://github.com/acme/shop",
    "generic": "git@git.example.org:acme/shop.git",
}
EVERY = pytest.mark.parametrize("sender", sorted(PUSHES))
GIT = pytest.mark.parametrize("sender", sorted(set(PUSHES) - {"event-grid"}))


@pytest.fixture
def receiver(sender: str, tmp_path, open_receiver: Open) -> Receiver:
    write_app(tmp_path, "shop", REPOSITORIES[sender])
    return open_receiver()


@EVERY
def test_a_verified_hook_starts_the_apps_reconcile(receiver: Receiver, sender: str) -> None:
    answer = receiver.take(PUSHES[sender]().signed(SECRET))
    assert (answer.status_code, answer.json()) == (202, {"status": "accepted", "apps": ["shop"]})
    receiver.prefect.wait("shop", 1)


@GIT
def test_another_branch_is_none_of_the_apps(receiver: Receiver, sender: str) -> None:
    answer = receiver.take(PUSHES[sender](branch="feature/main").signed(SECRET))  # type: ignore[call-arg]
    assert answer.status_code == 202 and answer.json() == {"status": "no app listens", "apps": []}
    assert "feature/main" in receiver.log.said[-1] and not receiver.noted()


@EVERY
def test_a_wrong_secret_is_refused_and_tells_nothing(receiver: Receiver, sender: str) -> None:
    answer = receiver.take(PUSHES[sender]().signed("guessed"))
    assert (answer.status_code, answer.json()) == (401, {"status": "not verified", "apps": []})
    assert not receiver.noted()


@EVERY
def test_without_the_senders_headers_nothing_is_verified(receiver: Receiver, sender: str) -> None:
    sent = PUSHES[sender]()
    assert receiver.take(Sent(sender, {}, sent.body)).status_code == 401
    assert receiver.take(Sent(sender, {}, b"")).status_code == 401
    assert not receiver.noted()


@EVERY
def test_the_same_call_again_is_taken_and_does_nothing(receiver: Receiver, sender: str) -> None:
    sent = PUSHES[sender]().signed(SECRET)
    receiver.take(sent)
    again = receiver.take(sent)
    assert (again.status_code, again.json()["status"]) == (202, "seen before") and receiver.noted() == ["shop"]


@EVERY
def test_a_body_that_is_not_json_is_malformed_once_it_is_verified(receiver: Receiver, sender: str) -> None:
    sent = Sent(sender, PUSHES[sender]().headers, b"{no json")
    assert receiver.take(sent).status_code == 401
    assert receiver.take(sent.signed(SECRET)).status_code == 400


@EVERY
def test_only_post_is_allowed(receiver: Receiver, sender: str) -> None:
    for method in ("GET", "PUT", "DELETE", *(() if sender == "event-grid" else ("OPTIONS",))):
        assert receiver.take(PUSHES[sender]().signed(SECRET), method).status_code == 405, method


@EVERY
def test_a_sender_that_no_app_names_is_answered_like_a_wrong_secret(sender: str, tmp_path, open_receiver) -> None:
    write_app(tmp_path, "shop", REPOSITORIES[sender], hooks=())
    answer = open_receiver().take(PUSHES[sender]().signed(SECRET))
    assert (answer.status_code, answer.json()) == (401, {"status": "not verified", "apps": []})


@EVERY
def test_an_empty_secret_verifies_nothing(sender: str, tmp_path, open_receiver) -> None:
    write_app(tmp_path, "shop", REPOSITORIES[sender])
    receiver = open_receiver({"SHOP_SECRET": ""})
    assert receiver.take(PUSHES[sender]().signed("")).status_code == 401
    assert "SHOP_SECRET is not set here" in receiver.log.said[0]
