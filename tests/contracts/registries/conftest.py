"""Every registry that the contract is held by: a line in `registry`, and a fixture that starts the real thing."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tandem.manifests import CONFIG, blob_of
from tandem.records import Descriptor, Image, ImageManifest
from tandem.registries import open_registry
from tandem.seams import Registry
from tests.contracts.conftest import free_port
from tests.contracts.registries.entra import entra_token

ENTRA = Path(__file__).with_name("entra.py")
LAYER = "application/vnd.oci.image.layer.v1.tar"


@pytest.fixture
def oci_url(tmp_path: Path) -> str:
    return f"oci:{tmp_path}/registry"


@pytest.fixture(scope="session")
def acr(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Debian's registry on a free port, which takes the tokens of a double of ACR's login: host:port."""
    folder = tmp_path_factory.mktemp("acr")
    with running([sys.executable, ENTRA, folder], folder / "entra.log", (folder / "address").exists):
        token = {
            "realm": f"http://{(folder / 'address').read_text()}/oauth2/token",
            "issuer": "acr double",
            "rootcertbundle": str(folder / "cert.pem"),
        }
        with docker_registry(folder, token) as address:
            yield address


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Debian's registry, which asks for no login: host:port."""
    with docker_registry(tmp_path_factory.mktemp("plain")) as address:
        yield address


@pytest.fixture
def repository(request: pytest.FixtureRequest) -> str:
    """A repository of this test's own."""
    return f"test-{hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:16]}/app"


@contextmanager
def docker_registry(folder: Path, token: dict[str, str] | None = None) -> Iterator[str]:
    """Debian's registry: host:port."""
    if not shutil.which("docker-registry"):
        pytest.skip("docker-registry is not installed")
    address = f"127.0.0.1:{free_port()}"
    config = {
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
        "http": {"addr": address, "secret": "one for all"},
        **({"auth": {"token": {**token, "service": address}}} if token else {}),
    }
    (folder / "config.yml").write_text(json.dumps(config))  # JSON is YAML
    argv = ["docker-registry", "serve", folder / "config.yml"]
    with running(argv, folder / "registry.log", lambda: answers(address)):
        yield address


@contextmanager
def running(argv: list[str | Path], log: Path, ready: Callable[[], bool]) -> Iterator[None]:
    with log.open("wb") as written:
        server = subprocess.Popen(argv, stdout=written, stderr=written)
    try:
        deadline = time.monotonic() + 120
        while not ready():
            assert server.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        yield
    finally:
        server.terminate()
        server.wait(60)


def answers(address: str) -> bool:
    try:
        return httpx.get(f"http://{address}/v2/", verify=False).status_code in {200, 401}
    except httpx.TransportError:
        return False


@pytest.fixture
def acr_url(acr: str, repository: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A repository of this test's own, and an `az` that is logged in."""
    az = tmp_path / "bin" / "az"
    az.parent.mkdir()
    said = {"accessToken": entra_token(), "expires_on": int(time.time()) + 3600, "tokenType": "Bearer"}
    az.write_text(f"#!/bin/sh\necho '{json.dumps(said)}'\n")  # no Python: the identity waits 10 s for it
    az.chmod(0o755)
    monkeypatch.setenv("PATH", f"{az.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "AzureCliCredential")
    return f"acr:{acr}/{repository}"


@pytest.fixture(params=["oci", "acr"])
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
