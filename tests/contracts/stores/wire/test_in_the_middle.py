"""Refusals in the middle of a read or a publish, and answers that no store gives."""

import random

import pytest

from tandem.errors import ModelError, Unreachable
from tandem.records import Facts

SIZE = 3_000_000
WEIGHTS = random.Random(1).randbytes(SIZE)
BIG = 11 << 20
PAGE = {"status": 200, "headers": {"Content-Type": "text/html"}, "body": b"<html>Log in here</html>"}


def put(objects):
    objects.write("w", iter([WEIGHTS]), SIZE)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_store_that_is_busy_in_the_middle_of_a_read_is_waited_for(objects, proxy, rule, waited, status):
    put(objects)
    proxy.rules += [rule(ends="/w", cut=SIZE // 2), rule(ends="/w", status=status, headers={"Retry-After": "3"})]
    assert b"".join(objects.read("w")) == WEIGHTS
    assert 3.0 in waited


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (401, "does not take this (login|key)"),
        (403, "no permission for .*(Storage Blob Data Reader|s3:GetObject)"),
        (404, "is gone"),
        (416, "416 at byte 1500000, which is there: try again"),
    ],
)
def test_a_read_that_is_refused_in_the_middle_ends_there_and_says_why(objects, proxy, rule, status, says):
    put(objects)
    proxy.rules += [rule(ends="/w", cut=SIZE // 2), rule(ends="/w", times=99, status=status)]
    got = b""
    with pytest.raises((ModelError, Unreachable), match=says) as said:
        for piece in objects.read("w"):
            got += piece
    assert f"{objects}/w" in str(said.value) and proxy.address in str(said.value)
    assert got == WEIGHTS[: SIZE // 2]


@pytest.mark.parametrize("status", [401, 403, 503])
def test_a_publish_that_is_refused_in_the_middle_is_invisible_and_a_repeat_makes_it_whole(
    place, blob, proxy, rule, status
):
    refusal = {"status": status, "headers": {"Retry-After": "3600"}}
    proxy.rules += [rule(method, ends="/files/w", times=99, **refusal) for method in ("PUT", "POST")]
    with pytest.raises((ModelError, Unreachable), match=r"digits/.*/files/w"):
        place.store().publish("digits", [blob("a", b"first"), blob("w", bytes(BIG))], Facts())
    proxy.rules.clear()
    assert list(place.store().versions("digits")) == []
    model = place.store().publish("digits", [blob("a", b"first"), blob("w", bytes(BIG))], Facts())
    assert [each.version for each in place.store().versions("digits")] == [model.version]


@pytest.mark.parametrize("size", [7, BIG])
def test_a_page_in_place_of_a_stores_answer_publishes_nothing(objects, proxy, rule, size):
    proxy.rules += [rule(method, times=99, **PAGE) for method in ("PUT", "POST")]
    with pytest.raises(ModelError, match=r"/a/b/w: answered what no .* does: is a proxy in the way"):
        objects.write("w", iter([bytes(size)]), size)
    with pytest.raises(ModelError, match=r"/a/b/p: answered what no .* does: is a proxy in the way"):
        objects.put("p", b"{}", "")


def test_parts_that_the_store_forgot_are_worth_another_try(objects, proxy, rule):
    status, code = (400, "InvalidBlockList") if "azure" in str(objects) else (404, "NoSuchUpload")
    body = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>forgotten</Message></Error>'.encode()
    headers = {"x-ms-error-code": code, "Content-Type": "application/xml"}
    proxy.rules.append(rule("PUT", ends="/w", times=99, status=status, headers=headers, body=body))
    with pytest.raises(Unreachable, match=r"/a/b/w: 40\d .*try again"):
        objects.write("w", iter([bytes(BIG)]), BIG)


def test_a_page_in_place_of_a_file_is_no_file(objects, proxy, rule):
    put(objects)
    proxy.rules.append(rule(ends="/w", times=99, **PAGE))
    with pytest.raises(ModelError, match=r"/a/b/w: answered with a web page.*proxy"):
        list(objects.read("w"))
