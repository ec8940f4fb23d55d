from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from tandem.errors import DigestMismatch, RegistryError, Unreachable
from tandem.manifests import blob_of, digest_of
from tandem.records import Blob
from tandem.registries.distribution import DistributionRegistry

MB = 1024 * 1024
CONTENT = bytes(range(256)) * 20_000  # 5 MB
KIND = "application/octet-stream"
Rules = Callable[..., None]
Front = Any  # of conftest.py


class Reads(list[int]):
    """The offsets at which the source was opened."""

    def blob(self, sha256: bool = False) -> Blob:
        def read(offset: int) -> Iterator[bytes]:
            self.append(offset)
            for start in range(offset, len(CONTENT), 300_000):
                yield CONTENT[start : start + 300_000]

        blob = blob_of(CONTENT, "weights")
        return replace(blob, open=read, sha256=blob.sha256 if sha256 else None)


def there(registry: DistributionRegistry) -> bool:
    return b"".join(registry.read(digest_of(CONTENT))) == CONTENT


def test_a_large_blob_goes_in_one_request_of_known_length(registry: DistributionRegistry, front: Front) -> None:
    registry.write(Reads().blob(), KIND)
    assert front.methods() == ["POST", "PATCH", "PUT"]
    headers = front.seen[1][2]
    assert headers["Content-Length"] == str(len(CONTENT)) and "Transfer-Encoding" not in headers
    assert there(registry)


def test_a_small_blob_costs_two_requests_and_one_where_it_is_there(
    registry: DistributionRegistry, front: Front
) -> None:
    registry.write(blob_of(b"{}", "config.json"), KIND)
    assert front.methods() == ["POST", "PUT"]
    registry.write(blob_of(b"{}", "config.json"), KIND)
    assert front.methods() == ["POST", "PUT", "POST"]


@pytest.mark.parametrize("cut", [0, 1_000_000, 4_999_999])
def test_an_upload_that_was_cut_goes_on_where_the_registry_has_it(
    registry: DistributionRegistry, front: Front, rule: Rules, cut: int
) -> None:
    front.keeps_cuts = True
    rule("PATCH", "uploads", cut_after=cut)
    reads = Reads()
    assert registry.write(reads.blob(), KIND).digest == digest_of(CONTENT)
    assert reads == [0, cut] if cut else reads == [0, 0]
    assert there(registry)


def test_an_upload_that_was_cut_and_forgotten_begins_again(
    registry: DistributionRegistry, front: Front, rule: Rules
) -> None:
    rule("PATCH", "uploads", cut_after=1_000_000, times=2)
    reads = Reads()
    registry.write(reads.blob(), KIND)
    assert reads == [0, 0, 0]
    assert there(registry)


def test_an_upload_that_is_cut_again_and_again_ends_and_says_so(
    registry: DistributionRegistry, front: Front, rule: Rules
) -> None:
    rule("PATCH", "uploads", cut_after=1000, times=99)
    with pytest.raises(Unreachable, match=rf"{front.address}/.*pushing weights"):
        registry.write(Reads().blob(), KIND)


def test_where_requests_may_not_be_large_they_become_small_and_stay_so(
    registry: DistributionRegistry, front: Front
) -> None:
    front.longest = 2 * MB
    registry.write(Reads().blob(), KIND)
    assert there(registry)
    front.seen.clear()
    registry.write(replace(blob_of(CONTENT[::-1], "more"), sha256=None), KIND)
    assert front.methods() == ["POST", *["PATCH"] * 5, "PUT"]
    assert front.seen[2][2]["Content-Range"] == f"{MB}-{2 * MB - 1}"


def test_where_no_request_is_small_enough_the_proxys_setting_is_named(
    registry: DistributionRegistry, front: Front
) -> None:
    front.longest = 1000
    with pytest.raises(RegistryError, match="client_max_body_size"):
        registry.write(Reads().blob(), KIND)


def test_an_upload_whose_last_answer_was_lost_is_found_to_be_there(registry: DistributionRegistry, rule: Rules) -> None:
    rule("PUT", "uploads", cut_answer_after=-1)
    registry.write(Reads().blob(), KIND)
    assert there(registry)


def test_a_proxy_that_names_the_host_behind_it_is_not_followed_there(
    registry: DistributionRegistry, front: Front
) -> None:
    front.names_back = True
    registry.write(Reads().blob(), KIND)
    assert front.methods() == ["POST", "PATCH", "PUT"]


def test_bytes_that_were_not_promised_are_refused_and_forgotten(registry: DistributionRegistry, front: Front) -> None:
    with pytest.raises(DigestMismatch, match="weights"):
        registry.write(replace(Reads().blob(), sha256="0" * 64), KIND)
    assert front.methods() == ["HEAD", "POST", "PATCH", "PUT", "DELETE"]


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_registry_that_fails_in_the_middle_is_tried_again(
    registry: DistributionRegistry, rule: Rules, slept: list[float], status: int
) -> None:
    rule("PATCH", "uploads", status=status)
    rule("PUT", "uploads", status=status)
    registry.write(Reads().blob(), KIND)
    assert len(slept) == 2
    assert there(registry)


def test_a_full_disk_of_the_registry_is_said(registry: DistributionRegistry, rule: Rules) -> None:
    full = b'{"errors":[{"code":"UNKNOWN","detail":{"Err":"write /var/lib/x: no space left on device"}}]}'
    rule("PATCH", "uploads", status=500, body=full, headers={"Content-Type": "application/json"}, times=9)
    with pytest.raises(RegistryError, match="the registry's disk is full"):
        registry.write(Reads().blob(), KIND)
