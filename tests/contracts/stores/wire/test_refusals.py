"""Refusals: busy stores are waited for as they say, others are errors that say what to do and no secret."""

import logging
import traceback
from dataclasses import replace

import pytest

from tandem.errors import ModelError, Unreachable
from tandem.models.patience import TRIES
from tandem.records import Facts

BIG = 11 << 20


def operations(objects):
    return {
        "list": lambda: list(objects.list("w")),
        "get": lambda: objects.get("w"),
        "read": lambda: list(objects.read("w")),
        "put": lambda: objects.put("new", b"{}", ""),
        "write": lambda: objects.write("w", iter([b"weights"]), 7),
        "large": lambda: objects.write("w", iter([bytes(BIG)]), BIG),
    }


EACH = pytest.mark.parametrize("operation", ["list", "get", "read", "put", "write", "large"])


def busy(rule, times, status=503, after="2"):
    headers = {"Retry-After": after} if after else {}
    return [rule(method, times=times, status=status, headers=headers) for method in ("GET", "PUT", "POST")]


@EACH
@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_store_is_asked_again_when_it_says(objects, proxy, rule, waited, operation, status):
    objects.write("w", iter([b"weights"]), 7)
    proxy.rules += busy(rule, 1, status)
    operations(objects)[operation]()
    assert waited
    assert set(waited) == {2.0}


@EACH
def test_a_store_that_stays_busy_is_unreachable_and_the_error_carries_the_wish(objects, proxy, rule, waited, operation):
    objects.write("w", iter([b"weights"]), 7)
    proxy.rules += busy(rule, 1000)
    with pytest.raises(Unreachable, match=r"/a/b/(w|new): 503.*try again") as caught:
        operations(objects)[operation]()
    assert caught.value.retry_after == 2.0
    assert TRIES - 1 <= len(waited) <= 4 * TRIES
    proxy.rules[:] = busy(rule, 1000, after="3600")
    waited.clear()
    with pytest.raises(Unreachable) as caught:
        operations(objects)[operation]()
    assert caught.value.retry_after == 3600
    assert waited == []


@EACH
def test_without_permission_the_error_names_what_to_grant(objects, proxy, rule, operation):
    objects.write("w", iter([b"weights"]), 7)
    code = b"<Error><Code>AccessDenied</Code></Error>"
    refusal = {"headers": {"x-ms-error-code": "AuthorizationPermissionMismatch"}, "body": code}
    proxy.rules += [rule(method, times=1000, status=403, **refusal) for method in ("GET", "PUT", "POST")]
    reading = operation in {"list", "get", "read"}
    wanted = "Storage Blob Data Reader|s3:GetObject" if reading else "Storage Blob Data Contributor|s3:PutObject"
    with pytest.raises(ModelError, match=f"no permission for .*/a/b/(w|new) .*: give this identity.*({wanted})"):
        operations(objects)[operation]()


def test_a_container_that_is_not_there_is_not_an_empty_store(place, blob, bucket):
    missing = replace(place, url=place.url.replace(bucket, "not-there"))
    with pytest.raises(ModelError, match=r"'not-there'.*create it"):
        list(missing.store().versions("digits"))
    with pytest.raises(ModelError, match=r"'not-there'.*create it"):
        missing.store().publish("digits", [blob("w", b"one")], Facts())


def test_a_pointer_whose_answer_was_lost_is_moved_once(place, blob, proxy, rule):
    first = place.store().publish("digits", [blob("w", b"one")], Facts())
    proxy.rules.append(rule("PUT", ends="/latest.json", cut=0))
    second = place.store().publish("digits", [blob("w", b"two")], Facts())
    assert [model.version for model in place.store().versions("digits")] == [second.version, first.version]


def test_no_error_and_no_log_line_tells_a_secret(place, proxy, rule, caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    objects = place.objects()
    objects.write("w", iter([b"weights"]), 7)
    assert b"".join(objects.read("w")) == b"weights"
    told = [str(objects), repr(objects)]
    proxy.rules += [rule(method, times=1000, status=403) for method in ("GET", "PUT")]
    for operation in operations(objects).values():
        with pytest.raises(ModelError) as caught:
            operation()
        told.append("".join(traceback.format_exception(caught.value)))
    said = "\n".join([*told, caplog.text]).lower()
    for secret in ("sig=", "signature=", "accountkey", "eby8vdm0", "akiatest"):
        assert secret not in said
