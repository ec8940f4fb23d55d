"""Event Grid: the handshakes, and which blobs mean a new model."""

import json

import pytest

from tests.triggers import hooks
from tests.triggers.conftest import SECRET, Open, Receiver, write_app
from tests.triggers.hooks import Sent

STORE = "https://acme.blob.core.windows.net/models"


def test_the_handshake_of_a_subscription_hears_its_code_again(receiver: Receiver) -> None:
    event = {
        "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
        "data": {"validationCode": "512d38b6-c7b8-40c8-89fe-f46f9e9622b6", "validationUrl": "https://example.org"},
    }
    sent = Sent("event-grid", {"aeg-event-type": "SubscriptionValidation"}, json.dumps([event]).encode())
    assert receiver.take(sent).status_code == 401
    answer = receiver.take(sent.signed(SECRET))
    assert answer.status_code == 200
    assert answer.json() == {"validationResponse": "512d38b6-c7b8-40c8-89fe-f46f9e9622b6"}
    assert not receiver.noted()


def test_cloud_events_ask_by_options_whether_they_may_come(receiver: Receiver) -> None:
    ask = Sent("event-grid", {"WebHook-Request-Origin": "eventgrid.azure.net"}, b"")
    assert receiver.take(ask, "OPTIONS").status_code == 401
    answer = receiver.take(ask.signed(SECRET), "OPTIONS")
    assert answer.status_code == 200 and answer.headers["WebHook-Allowed-Origin"] == "eventgrid.azure.net"
    strange = ask.having(WebHook_Request_Origin="a b").signed(SECRET)
    assert receiver.take(strange, "OPTIONS").status_code == 400


def test_a_cloud_event_is_read_as_well(receiver: Receiver) -> None:
    event = {
        "specversion": "1.0",
        "type": "Microsoft.Storage.BlobCreated",
        "data": {"url": f"{STORE}/shop/latest.json"},
    }
    sent = Sent("event-grid", {}, json.dumps(event).encode())
    assert receiver.take(sent.signed(SECRET)).json()["apps"] == ["shop"]


def test_the_secret_may_be_a_delivery_property(receiver: Receiver) -> None:
    assert receiver.take(hooks.event_grid().having(X_Tandem_Secret=SECRET)).json()["apps"] == ["shop"]


@pytest.mark.parametrize(
    ("newest", "url", "heard"),
    [
        ("published", f"{STORE}/shop/latest.json", True),
        ("published", "https://ACME.blob.core.windows.net/models/shop/latest.json", True),
        ("published", "https://acme.dfs.core.windows.net/models/shop/latest.json", True),
        ("published", f"{STORE}/shop/5b7e/files/weights.onnx", False),  # the pointer comes last
        ("published", f"{STORE}/shopping/latest.json", False),
        ("published", "https://evil.blob.core.windows.net/models/shop/latest.json", False),
        ("modified", f"{STORE}/shop/weights.onnx", True),
        ("modified", f"{STORE}/shop", True),
        ("modified", f"{STORE}/shopping/weights.onnx", False),
        ("modified", "https://[::1/models/shop/x", False),
    ],
)
def test_only_the_blobs_that_make_a_model_the_newest_count(
    tmp_path, open_receiver: Open, newest: str, url: str, heard: bool
) -> None:
    write_app(tmp_path, "shop", newest=newest)
    assert open_receiver().take(hooks.event_grid(url).signed(SECRET)).json()["apps"] == (["shop"] if heard else [])


def test_an_address_of_many_fields_is_not_looked_through(receiver: Receiver) -> None:
    many = {f"a{number}": "1" for number in range(30)} | {"code": SECRET}
    sent = hooks.event_grid()
    assert receiver.take(Sent(sent.sender, sent.headers, sent.body, many)).status_code == 401


def test_other_events_are_none_of_ours(receiver: Receiver) -> None:
    sent = hooks.event_grid(event="Microsoft.Storage.BlobDeleted").signed(SECRET)
    assert receiver.take(sent).json()["status"] == "nothing to do"


def test_the_secret_in_the_address_is_in_no_line_of_the_log(receiver: Receiver) -> None:
    receiver.take(hooks.event_grid().signed(SECRET))
    receiver.take(hooks.event_grid().signed("almost " + SECRET))
    assert not any(SECRET in line for line in receiver.log.said)
