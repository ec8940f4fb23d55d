"""Ranges of one object side by side: only while its reader starves, in order, and never of two objects."""

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tandem.errors import ModelDamaged
from tandem.models.ahead import ReadAhead

MIB = 1 << 20
WEIGHTS = random.Random(2).randbytes(12 * MIB)
RATE = 4 * MIB  # bytes a second that a connection gives
PLAN = ReadAhead(window=MIB, patience=1, length=MIB // 2)
PART = r"\d-\d"  # of a range with an end
one_cloud = pytest.mark.parametrize("cloud", ["azure"], indirect=True)


@pytest.fixture
def objects(place, proxy):
    """The place's objects with WEIGHTS as `w`, read with short windows and ranges."""
    place.put("w", WEIGHTS)
    proxy.asked.clear()
    return planned(place.objects(), PLAN)


class Steady:
    """A clock on which a moment in which this machine did something else is no longer than 0.15 s."""

    def __init__(self) -> None:
        self.now, self.last = 0.0, time.monotonic()

    def __call__(self) -> float:
        real = time.monotonic()
        self.now, self.last = self.now + min(max(0.0, real - self.last), 0.15), real
        return self.now


def planned(objects, plan: ReadAhead):
    return replace(objects, wire=replace(objects.wire, clock=Steady(), ahead=replace(plan, room=plan.room.copy())))


def ranges(proxy) -> list[str]:
    return [headers.get("range", "") for method, _, headers in proxy.asked if method == "GET"]


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("read-ahead")]


def wait_until(so: Callable[[], bool], seen: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not so():
        assert time.monotonic() < deadline, seen()
        time.sleep(0.01)


def test_a_starving_reader_gets_four_ranges_side_by_side(objects, proxy, rule):
    proxy.rules += [parts := rule(range=PART, times=99, rate=RATE / 2), rule(times=99, rate=RATE / 2)]
    assert b"".join(objects.read("w")) == WEIGHTS
    assert parts.most == 4 and len(objects.wire.ahead.room) == 8
    tags = [headers.get("if-match") for _, path, headers in proxy.asked if "range" in headers]
    assert len(tags) > 4 and len(set(tags)) == 1 and tags[0]


@one_cloud
def test_a_store_that_is_fast_is_asked_once(objects, proxy):
    quick = replace(objects, wire=replace(objects.wire, clock=lambda: 0.0))  # in no time
    assert b"".join(quick.read("w")) == WEIGHTS
    assert ranges(proxy) == [""]


@one_cloud
def test_a_store_that_asks_to_be_left_alone_for_a_while_does_not_get_more_requests(objects, proxy, rule):
    now = [0.0]  # only waiting takes time

    def sleep(seconds: float) -> None:
        now[0] += seconds

    patient = replace(objects, wire=replace(objects.wire, clock=lambda: now[0], sleep=sleep))
    proxy.rules += [rule(cut=600_000), rule(status=503, headers={"Retry-After": "9"})]
    assert b"".join(patient.read("w")) == WEIGHTS
    assert now[0] > 9 and ranges(proxy) == ["", "bytes=600000-", "bytes=600000-"]


@one_cloud
def test_a_reader_that_is_little_quicker_than_one_connection_has_one(objects, proxy, rule):
    proxy.rules += [rule(times=99, rate=RATE)]
    calm = planned(objects, replace(PLAN, window=4 * MIB))  # in which a hiccup of this machine does not count
    assert b"".join(slowly(calm.read("w"), RATE / 0.75)) == WEIGHTS
    assert ranges(proxy) == [""]


def slowly(pieces: Iterator[bytes], rate: float) -> Iterator[bytes]:
    for piece in pieces:
        time.sleep(len(piece) / rate)
        yield piece


@one_cloud
def test_a_reader_that_no_longer_starves_goes_back_to_one_stream(objects, proxy, rule):
    proxy.rules += [rule(times=99, rate=4 * RATE)]
    pieces, got = objects.read("w"), b""
    while len(got) < 4 * MIB:
        got += next(pieces)
    assert b"".join([got, *slowly(pieces, 2 * RATE)]) == WEIGHTS
    assert len(ranges(proxy)) > 4 and any(asked.endswith("-") for asked in ranges(proxy))


@one_cloud
def test_ranges_that_are_together_no_quicker_than_one_stream_was_are_given_up(objects, proxy, rule):
    whole = planned(objects, replace(PLAN, window=2 * MIB))
    proxy.rules += [rule(range=PART, times=99, rate=RATE / 4), rule(times=99, rate=2 * RATE)]
    assert b"".join(whole.read("w")) == WEIGHTS
    assert ranges(proxy)[-1].endswith("-"), "a processor or a whole wire is the limit, as in a store that is at its own"
    assert 4 < len(ranges(proxy)) <= 2 + 6 * MIB // PLAN.length


@one_cloud
@pytest.mark.parametrize(
    "said", [{"Accept-Ranges": "bytes"}, {"ETag": '"1"'}, {"ETag": 'W/"1"', "Accept-Ranges": "bytes"}]
)
def test_what_ranges_might_mix_is_read_in_one_stream(objects, proxy, rule, said):
    proxy.rules += [rule(status=200, headers=said, body=WEIGHTS, rate=4 * RATE)]
    assert b"".join(objects.read("w")) == WEIGHTS
    assert ranges(proxy) == [""]


@one_cloud
def test_a_range_that_is_cut_is_gone_on_with_from_that_byte(objects, proxy, rule):
    proxy.rules += [rule(range=PART, rate=RATE, cut=100_000), rule(times=99, rate=RATE)]
    assert b"".join(objects.read("w")) == WEIGHTS
    begun = {int(start) for start, stop in (asked[6:].split("-") for asked in ranges(proxy) if asked) if stop}
    resumed = {int(asked[6:-1]) for asked in ranges(proxy) if asked.endswith("-")}
    assert {start - 100_000 for start in resumed} & begun


@one_cloud
@pytest.mark.parametrize(
    ("status", "says", "body"),
    [
        (503, {"Retry-After": "9"}, b""),
        (200, {}, WEIGHTS),
        (206, {"Content-Range": "bytes 0-524287/12582912"}, WEIGHTS),
    ],
)
def test_a_store_that_gives_no_ranges_is_read_in_one_stream_and_seldom_asked_again(
    objects, proxy, rule, status, says, body
):
    says["ETag"] = next(objects.list("w")).tag
    refused = rule(range=PART, times=99, status=status, headers=says, body=body)
    proxy.rules += [refused, rule(times=99, rate=4 * RATE)]
    assert b"".join(objects.read("w")) == WEIGHTS
    assert len([asked for asked in ranges(proxy) if asked.endswith("-")]) == 2  # after 1 and 4 MiB more


@one_cloud
def test_an_object_that_is_overwritten_meanwhile_is_an_error_and_never_a_mixture(place, objects, proxy, rule):
    proxy.rules += [rule(times=6, rate=RATE), rule(before=lambda: place.put("w", b"other")), rule(times=99)]
    got = b""
    with pytest.raises(ModelDamaged, match=r"w was changed since it was looked at"):
        for piece in objects.read("w"):
            got += piece
    assert len(got) >= MIB and WEIGHTS.startswith(got)
    wait_until(lambda: not threads(), threads)
    assert len(objects.wire.ahead.room) == 8


@one_cloud
def test_a_reader_that_is_closed_early_ends_its_requests_at_once_and_gives_back_the_room(objects, proxy, rule):
    large = planned(objects, replace(PLAN, length=4 * MIB))
    proxy.rules += [rule(range=PART, times=99, rate=MIB // 4), rule(times=99, rate=RATE)]
    pieces = large.read("w")
    while not threads():
        next(pieces)
    assert len(large.wire.ahead.room) == 4
    pieces.close()  # of which each would have taken 15 more seconds
    assert len(large.wire.ahead.room) == 8
    wait_until(lambda: not threads(), threads)


@one_cloud
def test_objects_that_are_read_at_once_share_the_room(place, objects, proxy, rule):
    place.put("v", WEIGHTS[::-1])
    scarce = planned(objects, replace(PLAN, room=deque(range(3))))
    proxy.rules += [parts := rule(range=PART, times=99, rate=RATE), rule(times=99, rate=RATE)]
    with ThreadPoolExecutor(2) as both:
        first, second = both.map(lambda path: b"".join(scarce.read(path)), "wv")
    assert first == second[::-1] == WEIGHTS
    assert parts.most == 3 and len(scarce.wire.ahead.room) == 3
