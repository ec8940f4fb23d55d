"""Reading on bad days: cut anywhere, overwritten meanwhile, slow, damaged."""

import random
import time
from dataclasses import replace

import pytest

from tandem.errors import ModelDamaged, ModelError, Unreachable
from tandem.models.kept import on_disk
from tandem.records import Facts

SIZE = 3_000_000
WEIGHTS = random.Random(1).randbytes(SIZE)


def put(objects, content=WEIGHTS):
    objects.write("w", iter([content]), len(content))


def ranges(proxy):
    return [headers.get("range") for method, path, headers in proxy.asked if method == "GET" and "/w" in path]


def test_a_read_that_is_cut_at_any_tenth_goes_on_from_there(objects, proxy, rule):
    put(objects)
    for tenth in range(10):
        proxy.asked.clear()
        proxy.rules.append(rule(ends="/w", cut=tenth * SIZE // 10))
        assert b"".join(objects.read("w")) == WEIGHTS
        assert ranges(proxy) == [None, f"bytes={tenth * SIZE // 10}-" if tenth else None]


def test_a_wire_that_breaks_all_the_time_gives_the_whole_in_the_end(objects, proxy, rule, waited):
    put(objects)
    proxy.rules.append(rule(ends="/w", times=100, cut=SIZE // 7))
    assert b"".join(objects.read("w", 5)) == WEIGHTS[5:]
    assert len(ranges(proxy)) == 7
    pinned = [headers.get("if-match") for method, path, headers in proxy.asked if method == "GET" and "/w" in path]
    assert pinned[0] is None
    assert len(set(pinned[1:])) == 1


def test_a_wire_that_gives_nothing_is_unreachable_and_the_error_names_the_file(objects, proxy, rule):
    put(objects)
    proxy.rules.append(rule(ends="/w", times=100, cut=1000))
    with pytest.raises(Unreachable, match=r"/a/b/w: broke off"):
        list(objects.read("w"))
    assert len(ranges(proxy)) == 5


def test_a_file_that_is_overwritten_before_a_read_goes_on_is_no_mixture(place, objects, proxy, rule):
    put(objects)
    proxy.rules.append(rule(ends="/w", cut=SIZE // 2))
    pieces = objects.read("w")
    begun = next(pieces)
    place.put("w", WEIGHTS[::-1])
    with pytest.raises(ModelDamaged, match=r"/a/b/w was (changed|overwritten)"):
        for piece in pieces:
            begun += piece
    assert begun == WEIGHTS[: len(begun)]


def test_a_store_that_gives_another_object_in_spite_of_the_condition_is_refused(objects, proxy, rule):
    put(objects)
    [entry] = objects.list("w")
    proxy.rules.append(rule(ends="/w", status=200, headers={"ETag": '"another"'}, body=WEIGHTS))
    with pytest.raises(ModelDamaged, match="overwritten"):
        list(objects.read("w", 0, entry.tag))


def test_a_proxy_that_ignores_ranges_gives_the_same_bytes(objects, proxy, rule):
    put(objects)
    [entry] = objects.list("w")
    proxy.rules += [
        rule(ends="/w", cut=SIZE // 2),
        rule(ends="/w", status=200, headers={"ETag": entry.tag}, body=WEIGHTS),
    ]
    assert b"".join(objects.read("w")) == WEIGHTS


def test_a_byte_at_a_time_is_a_stall(objects, proxy, rule):
    put(objects)
    proxy.rules.append(rule(ends="/w", times=100, trickle=0.01))
    hasty = replace(objects, wire=replace(objects.wire, clock=lambda: time.monotonic() * 200))  # a second is 5 ms
    with pytest.raises(Unreachable, match=r"/a/b/w: only \d+ bytes came in \d+ s"):
        list(hasty.read("w"))


def test_bytes_that_change_on_the_wire_are_found_by_their_hash(place, blob, proxy, rule, tmp_path):
    model = place.store().publish("digits", [blob("w", WEIGHTS)], Facts())
    proxy.rules.append(rule(ends="/files/w", damaged=True))
    with pytest.raises(ModelDamaged, match=r"w .*its SHA-256 is"):
        on_disk(model, tmp_path / "cache")


def test_a_web_page_is_no_document_and_no_listing(objects, proxy, rule):
    page = {"status": 200, "headers": {"Content-Type": "text/html"}, "body": b"<html>Log in here</html>"}
    proxy.rules.append(rule(times=100, **page))
    with pytest.raises(ModelError, match=r"proxy"):
        objects.get("digits/latest.json")
    with pytest.raises(ModelError, match=r"proxy"):
        list(objects.list("digits/"))
