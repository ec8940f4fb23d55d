import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tandem.errors import DigestMismatch, NotInRegistry, RegistryError, TandemError, Unreachable
from tandem.manifests import CONFIG, blob_of, digest_of
from tandem.records import ImageManifest
from tandem.registries.answers import pieces
from tandem.registries.distribution import DistributionRegistry
from tandem.registries.login import AccountLogin
from tandem.registries.wire import Wire

CONTENT = bytes(range(256)) * 8_000  # 2 MB
DIGEST = digest_of(CONTENT)
Rules = Callable[..., None]
Front = Any  # of conftest.py


@pytest.fixture(autouse=True)
def pushed(registry: DistributionRegistry, front: Front) -> None:
    registry.write(blob_of(CONTENT, "weights"), "application/octet-stream")
    front.seen.clear()


@pytest.mark.parametrize("tenth", range(10))
def test_a_read_that_was_cut_goes_on_where_it_was(
    registry: DistributionRegistry, front: Front, rule: Rules, tenth: int
) -> None:
    rule("GET", "blobs", cut_answer_after=len(CONTENT) * tenth // 10)
    assert b"".join(registry.read(DIGEST)) == CONTENT
    assert front.methods() == ["GET", "GET"]


def test_a_server_that_ignores_where_to_begin_gives_no_byte_twice(registry: DistributionRegistry, rule: Rules) -> None:
    rule("GET", "blobs", cut_answer_after=1_000_000)
    rule("GET", "blobs", status=200, body=CONTENT)
    assert b"".join(registry.read(DIGEST)) == CONTENT


def test_a_read_that_is_always_cut_ends(registry: DistributionRegistry, rule: Rules) -> None:
    rule("GET", "blobs", cut_answer_after=0, times=99)
    with pytest.raises(Unreachable, match=f"reading blob {DIGEST}"):
        list(registry.read(DIGEST))


def test_other_bytes_than_the_digest_says_are_found(registry: DistributionRegistry, rule: Rules) -> None:
    rule("GET", "blobs", status=200, body=CONTENT[::-1])
    with pytest.raises(DigestMismatch, match=DIGEST):
        list(registry.read(DIGEST))


@pytest.mark.parametrize(
    ("status", "error", "remedy"),
    [
        (401, RegistryError, "docker login"),
        (403, RegistryError, "AcrPush"),
        (404, NotInRegistry, "not there"),
        (418, RegistryError, "418"),
        (429, Unreachable, "try again"),
        (500, Unreachable, "try again"),
        (503, Unreachable, "try again"),
    ],
)
def test_each_refusal_names_host_repository_and_remedy(
    registry: DistributionRegistry, rule: Rules, status: int, error: type[TandemError], remedy: str
) -> None:
    rule("GET", "manifests", status=status, times=9)
    with pytest.raises(error, match=remedy) as said:
        registry.manifest(DIGEST)
    assert str(registry) in str(said.value) and DIGEST in str(said.value)


def test_a_busy_registry_is_left_alone_as_long_as_it_asks(
    registry: DistributionRegistry, rule: Rules, slept: list[float]
) -> None:
    rule("GET", "tags", status=429, headers={"Retry-After": "7"})
    assert registry.tags() == []
    assert slept == [7.0]


def test_a_registry_busy_for_long_is_the_callers_to_wait_for(
    registry: DistributionRegistry, rule: Rules, slept: list[float]
) -> None:
    rule("GET", "tags", status=503, headers={"Retry-After": "600"})
    with pytest.raises(Unreachable) as said:
        registry.tags()
    assert (said.value.retry_after, slept) == (600.0, [])


def test_a_blob_that_the_registry_overlooks_while_another_writes_it_is_there(
    registry: DistributionRegistry, rule: Rules
) -> None:
    config = registry.write(blob_of(b"{}", "config.json"), CONFIG)
    overlooked = b'{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"blob unknown to registry"}]}'
    rule("PUT", "manifests", status=400, body=overlooked)
    registry.put(ImageManifest(config, ()), "v1")
    assert registry.tags() == ["v1"]


def test_a_page_instead_of_an_answer_is_recognised(registry: DistributionRegistry, rule: Rules) -> None:
    rule("GET", "tags", status=200, headers={"Content-Type": "text/html"}, body=b"<html>Sign in")
    with pytest.raises(RegistryError, match="text/html that is no JSON object: is this the registry's address"):
        registry.tags()


def test_an_answer_without_end_is_not_taken_in(registry: DistributionRegistry, rule: Rules) -> None:
    rule("GET", "tags", status=200, body=bytes(5_000_000))
    with pytest.raises(RegistryError, match="is this a registry"):
        registry.tags()


def test_a_login_is_never_sent_to_another_host(
    front: Front, rule: Rules, registry: DistributionRegistry, serve: Callable[[Front], Front]
) -> None:
    elsewhere = serve(type(front)(front.back))
    rule("GET", "blobs", status=401, headers={"WWW-Authenticate": 'Basic realm="here"'})
    there = f"http://{elsewhere.address}/v2/{registry.wire.repository}/blobs/{DIGEST}"
    rule("GET", "blobs", status=307, headers={"Location": there})
    assert b"".join(registry.read(DIGEST)) == CONTENT
    assert [headers.get("Authorization", "")[:6] for _, _, headers in front.seen] == ["", "Basic "]
    assert ["Authorization" in headers for _, _, headers in elsewhere.seen] == [False]


def test_no_message_holds_a_secret(registry: DistributionRegistry, rule: Rules) -> None:
    rule("GET", "tags", status=401, headers={"WWW-Authenticate": 'Basic realm="here"'}, times=9)
    with pytest.raises(RegistryError) as said:
        registry.tags()
    assert "s3cret" not in f"{said.value!r} {said.getrepr(showlocals=False)}"
    assert "s3cret" not in repr(registry.wire._login)


def test_nobody_there_is_said_with_the_address(slept: list[float]) -> None:
    client = httpx.Client(verify=False)
    wire = Wire("http://127.0.0.1:9", "a/b", client, AccountLogin("127.0.0.1:9", lambda: None, client), slept.append)
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:9/a/b: resolving v1: .*refused"):
        DistributionRegistry(wire).resolve("v1")


def test_a_byte_at_a_time_is_a_stall(registry: DistributionRegistry, front: Front, rule: Rules) -> None:
    registry.wire.clock = lambda: time.monotonic() * 1000
    rule("GET", "blobs", trickle=0.01, times=99)
    with pytest.raises(
        Unreachable, match=rf"{registry}: reading blob {DIGEST}: only \d+ bytes came in 60 s: try again"
    ):
        list(registry.read(DIGEST))
    assert front.methods() == ["GET"] * 5


def test_a_byte_a_second_is_no_progress() -> None:
    class Trickle(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield from [b"x"] * 1000

    seconds = iter(range(1000))
    with pytest.raises(Unreachable, match="only 61 bytes came in 60 s"):
        list(pieces(httpx.Response(200, stream=Trickle()), "weights", lambda: float(next(seconds))))
