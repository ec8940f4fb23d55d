"""What only one sender has."""

import json
from urllib.parse import urlencode

import pytest

from tests.triggers import hooks
from tests.triggers.conftest import NOW, SECRET, Open, Receiver, write_app
from tests.triggers.hooks import Sent

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
SIGNING = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def body(sent: Sent, **changes: object) -> Sent:
    return Sent(sent.sender, sent.headers, json.dumps(json.loads(sent.body) | changes).encode())


def test_githubs_ping_is_answered_and_starts_nothing(receiver: Receiver) -> None:
    answer = receiver.take(hooks.github(event="ping").signed(SECRET))
    assert answer.status_code == 202 and "'ping'" in receiver.log.said[-1] and not receiver.noted()


def test_githubs_form_is_read_as_well(receiver: Receiver) -> None:
    sent = hooks.github()
    form = Sent("github", sent.headers | FORM, urlencode({"payload": sent.body}).encode())
    assert receiver.take(form.signed(SECRET)).json()["apps"] == ["shop"]


def test_githubs_old_signature_by_sha1_is_not_enough(receiver: Receiver) -> None:
    sent = hooks.github()
    assert receiver.take(sent.having(X_Hub_Signature=hooks.sha256(SECRET, sent.body))).status_code == 401


@pytest.mark.parametrize("event", ["Tag Push Hook", "Merge Request Hook", "Note Hook"])
def test_gitlabs_other_events_are_none_of_ours(receiver: Receiver, event: str) -> None:
    answer = receiver.take(hooks.gitlab(event=event).signed(SECRET))
    assert answer.status_code == 202 and answer.json()["status"] == "nothing to do"


def test_gitlabs_signing_token_verifies_body_and_time(tmp_path, open_receiver: Open) -> None:
    write_app(tmp_path, "shop", "https://gitlab.example.org/acme/shop")
    receiver = open_receiver({"SHOP_SECRET": SIGNING})
    sent = hooks.gitlab()
    for late in (-301, 301):
        assert receiver.take(hooks.standard(sent, SIGNING, int(NOW) + late)).status_code == 401
    good = hooks.standard(sent, SIGNING)
    assert receiver.take(Sent("gitlab", good.headers, good.body + b" ")).status_code == 401
    assert receiver.take(good.having(webhook_id="msg_2")).status_code == 401
    assert receiver.take(good).json()["apps"] == ["shop"]


def test_gitlabs_signature_that_fails_is_not_saved_by_a_token(receiver: Receiver) -> None:
    sent = hooks.gitlab().signed(SECRET)
    assert receiver.take(sent.having(webhook_signature="v1,AAAA")).status_code == 401


@pytest.mark.parametrize(
    "repository",
    [
        "https://dev.azure.com/acme/tools/_git/shop",
        "https://acme.visualstudio.com/DefaultCollection/tools/_git/shop",
        "https://acme.visualstudio.com/tools/_git/shop",
        "acme@vs-ssh.visualstudio.com:v3/acme/tools/shop",
    ],
)
def test_azure_devops_repositories_have_many_addresses(tmp_path, open_receiver: Open, repository: str) -> None:
    write_app(tmp_path, "shop", repository)
    assert open_receiver().take(hooks.azure_devops().signed(SECRET)).json()["apps"] == ["shop"]


def test_azure_devops_without_details_is_malformed_and_says_what_to_set(receiver: Receiver) -> None:
    sent = body(hooks.azure_devops(), resource={"pushId": 14}).signed(SECRET)
    assert receiver.take(sent).status_code == 400 and "Resource details" in receiver.log.said[-1]


def test_bitbucket_data_centers_push_is_read(tmp_path, open_receiver: Open) -> None:
    write_app(tmp_path, "shop", "https://git.example.org/scm/acme/shop.git")
    links = {"clone": [{"href": "ssh://git@git.example.org:7999/acme/shop.git"}]}
    links["clone"].append({"href": "https://git.example.org/scm/acme/shop.git", "name": "http"})
    change = {"ref": {"id": "refs/heads/main", "displayId": "main", "type": "BRANCH"}, "type": "UPDATE"}
    document = {"eventKey": "repo:refs_changed", "repository": {"links": links}, "changes": [change]}
    sent = Sent("bitbucket", {"X-Event-Key": "repo:refs_changed"}, json.dumps(document).encode())
    receiver = open_receiver()
    assert receiver.take(sent.signed(SECRET)).json()["apps"] == ["shop"]
    ping = Sent("bitbucket", {"X-Event-Key": "diagnostics:ping"}, b'{"test": true}').signed(SECRET)
    assert receiver.take(ping).status_code == 202


def test_bitbuckets_push_of_several_branches_and_a_tag_counts_the_branches(receiver: Receiver, tmp_path) -> None:
    write_app(tmp_path, "shop", "https://bitbucket.org/acme/shop")
    receiver.log.said.clear()
    changes = [{"new": {"type": "tag", "name": "main"}}, {"new": {"type": "branch", "name": "next"}}, {"new": None}]
    sent = body(hooks.bitbucket(), push={"changes": changes})
    assert receiver.take(sent.signed(SECRET)).json()["status"] == "no app listens"


@pytest.mark.parametrize("time", ["", "soon", "-1", "1e9", "٣", "9" * 5000, str(int(NOW) - 301), str(int(NOW) + 301)])
def test_a_generic_hook_must_be_of_now(receiver: Receiver, time: str) -> None:
    if time.isascii():
        assert receiver.take(hooks.generic(time=time).signed(SECRET)).status_code == 401


def test_a_generic_hook_may_name_its_app_and_no_other(receiver: Receiver) -> None:
    for app, heard in (("shop", ["shop"]), ("../shop", []), ("other", [])):
        sent = Sent("generic", hooks.generic().headers, json.dumps({"app": app}).encode()).signed(SECRET)
        assert receiver.take(sent).json()["apps"] == heard
