"""Every registry that the contract is held by: a line in `registry`, and a fixture that starts the real thing."""

import hashlib
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from tandem.manifests import CONFIG, blob_of
from tandem.records import Descriptor, Image, ImageManifest
from tandem.registries import open_registry
from tandem.seams import Registry

LAYER = "application/vnd.oci.image.layer.v1.tar"


@pytest.fixture
def oci_url(tmp_path: Path) -> str:
    return f"oci:{tmp_path}/registry"


@pytest.fixture(scope="session")
def docker_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Debian's registry on a free port of its own: host:port."""
    if not shutil.which("docker-registry"):
        missing = pytest.fail if os.environ.get("TANDEM_REQUIRE_ALL") else pytest.skip
        missing("docker-registry is not installed")
    folder = tmp_path_factory.mktemp("docker-registry")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    config = {
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
        "http": {"addr": address, "secret": "one for all"},
    }
    (folder / "config.yml").write_text(json.dumps(config))  # JSON is YAML
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(["docker-registry", "serve", folder / "config.yml"], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 20
        while not answers(address):
            assert server.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.02)
        yield address
    finally:
        server.terminate()
        server.wait(10)


def answers(address: str) -> bool:
    try:
        return httpx.get(f"http://{address}/v2/").status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture
def distribution_url(docker_registry: str, request: pytest.FixtureRequest) -> str:
    """A repository of this test's own."""
    return f"{docker_registry}/test-{hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:16]}/app"


@pytest.fixture(params=["oci", "distribution"])
def url(request: pytest.FixtureRequest) -> str:
    """A registry's name, with nothing in it yet; another process may open it too."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def registry(url: str, tmp_path: Path) -> Registry:
    return open_registry(url, tmp_path)


@pytest.fixture
def push(registry: Registry) -> Callable[..., Image]:
    """push("name", tag=…) puts an image of one layer, whose bytes are the name."""

    def push(
        name: str,
        tag: str | None = None,
        subject: Descriptor | None = None,
        kind: str | None = None,
        annotations: Mapping[str, str] | None = None,
    ) -> Image:
        config = registry.write(blob_of(b'{"name":"%s"}' % name.encode(), "config.json"), CONFIG)
        layer = registry.write(blob_of(name.encode(), f"{name}.tar"), LAYER)
        manifest = ImageManifest(config, (layer,), annotations or {}, subject, kind)
        return Image(registry, registry.put(manifest, tag).digest, manifest)

    return push
