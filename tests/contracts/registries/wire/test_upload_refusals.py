"""What a registry, or what stands before it, says in the middle of a push; and a registry whose disk is full."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from tandem.errors import NotInRegistry, RegistryError, TandemError, Unreachable
from tandem.manifests import CONFIG, blob_of, digest_of, image_of
from tandem.records import Blob, ImageManifest
from tandem.registries import TIMEOUT, open_registry
from tandem.registries.distribution import DistributionRegistry
from tandem.registries.login import AccountLogin
from tandem.registries.wire import Wire
from tests.contracts.registries.conftest import docker_registry

CONTENT = bytes(range(256)) * 20_000  # 5 MB
KIND = "application/octet-stream"
PAGE = {"status": 200, "headers": {"Content-Type": "text/html"}, "body": b"<html>Sign in"}
Rules = Callable[..., None]
Front = Any  # of conftest.py


def weights() -> Blob:
    return replace(blob_of(CONTENT, "weights"), sha256=None)


def there(registry: DistributionRegistry) -> bool:
    return b"".join(registry.read(digest_of(CONTENT))) == CONTENT


@pytest.mark.parametrize("status", [401, 404, 416, 429])
def test_a_refusal_in_the_middle_that_passes_costs_nothing_but_time(
    registry: DistributionRegistry, rule: Rules, slept: list[float], status: int
) -> None:
    asks = {401: {"WWW-Authenticate": 'Basic realm="here"'}, 429: {"Retry-After": "7"}}
    rule("PATCH", "uploads", status=status, headers=asks.get(status, {}))
    registry.write(weights(), KIND)
    assert slept == [7.0 if status == 429 else 0.5]
    assert there(registry)


@pytest.mark.parametrize(
    ("status", "error", "remedy"),
    [
        (400, RegistryError, "its log says why"),
        (401, RegistryError, "docker login"),
        (403, RegistryError, "may not do that.*AcrPush"),
        (404, NotInRegistry, "is the name another"),
        (413, RegistryError, "client_max_body_size"),
        (416, RegistryError, "try again"),
        (429, Unreachable, "try again"),
        (500, Unreachable, "try again"),
        (503, Unreachable, "try again"),
    ],
)
def test_a_refusal_that_stays_names_host_repository_blob_and_remedy_and_nothing_is_there(
    registry: DistributionRegistry, front: Front, rule: Rules, status: int, error: type[TandemError], remedy: str
) -> None:
    rule("PATCH", "uploads", status=status, times=99)
    with pytest.raises(error, match=rf"{registry}: pushing weights from byte 0: {status}.*{remedy}"):
        registry.write(weights(), KIND)
    assert front.methods()[-1] == "DELETE"
    with pytest.raises(NotInRegistry):
        there(registry)


@pytest.mark.parametrize(("method", "path"), [("POST", "uploads"), ("PATCH", "uploads"), ("PUT", "manifests")])
def test_a_page_in_place_of_an_answer_is_recognised(
    registry: DistributionRegistry, rule: Rules, method: str, path: str
) -> None:
    config = registry.write(blob_of(b"{}", "config.json"), CONFIG)
    rule(method, path, **PAGE)
    with pytest.raises(RegistryError, match=rf"{registry}: pushing .*200: <html>Sign in: .*not a proxy's"):
        layer = registry.write(weights(), KIND)
        registry.put(ImageManifest(config, (layer,)), "v1")
    assert registry.tags() == []


def test_a_page_in_place_of_an_image_is_recognised(registry: DistributionRegistry, rule: Rules) -> None:
    rule("HEAD", "manifests", **PAGE)
    rule("GET", "manifests", times=9, **PAGE)
    with pytest.raises(RegistryError, match=rf"{registry}.*v1.*proxy"):
        image_of(registry, "v1")


def test_bytes_that_change_on_the_way_are_refused_by_the_registry_and_said(
    registry: DistributionRegistry, rule: Rules
) -> None:
    rule("PATCH", "uploads", damaged=True)
    with pytest.raises(RegistryError, match=rf"{registry}: pushing weights as sha256:.*changed on the way: try again"):
        registry.write(weights(), KIND)
    registry.write(weights(), KIND)
    assert there(registry)


def test_a_registry_that_takes_nothing_is_not_waited_for_without_end(
    front: Front, rule: Rules, repository: str, slept: list[float]
) -> None:
    assert TIMEOUT.write == 60.0 and TIMEOUT.read == 300.0
    client = httpx.Client(verify=False, timeout=httpx.Timeout(60.0, write=0.2))  # what is answered may take its time
    login = AccountLogin(front.address, lambda: None, client)
    registry = DistributionRegistry(Wire(f"http://{front.address}", repository, client, login, slept.append))
    rule("PATCH", "uploads", stalls=5.0, times=9)
    with pytest.raises(Unreachable, match=rf"{registry}: pushing weights from byte 0: .*timed out"):
        registry.write(weights(), KIND)


@pytest.fixture
def cramped(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Debian's registry on a disk of 4 MiB: host:port, and where that is mounted."""
    data = tmp_path / "data"
    data.mkdir()
    if sys.platform != "linux" or os.geteuid() or not shutil.which("mount"):
        pytest.skip("a small disk wants root on Linux")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", data], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no small disk: {mounted.stderr}")
    try:
        with docker_registry(tmp_path) as address:
            yield address, data
    finally:
        subprocess.run(["umount", "--lazy", data], check=True)


def test_a_registry_whose_disk_is_full_says_so_and_with_room_only_what_is_missing_travels(
    cramped: tuple[str, Path], tmp_path: Path
) -> None:
    address, disk = cramped
    registry = open_registry(f"{address}/app", tmp_path)
    config = registry.write(blob_of(b"{}", "config.json"), CONFIG)
    with pytest.raises(
        RegistryError, match=rf"{address}/app: pushing weights .*the registry's disk is full: make room"
    ):
        registry.write(weights(), KIND)
    assert registry.tags() == []
    subprocess.run(["mount", "-o", "remount,size=32m", disk], check=True)
    layer = registry.write(weights(), KIND)
    registry.put(ImageManifest(config, (layer,)), "v1")
    image = image_of(registry, "v1")
    assert image is not None and b"".join(registry.read(layer.digest)) == CONTENT
