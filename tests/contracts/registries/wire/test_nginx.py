import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from tandem.manifests import CONFIG, blob_of, digest_of, image_of
from tandem.records import ImageManifest
from tandem.registries import open_registry
from tandem.registries.evidence import TESTS, attach, find
from tests.contracts.conftest import free_port

CONTENT = bytes(range(256)) * 20_000  # 5 MB, five times what nginx takes as it comes


@pytest.fixture
def nginx(plain: str, tmp_path: Path) -> Iterator[str]:
    """nginx before the registry, with its defaults: buffering, 1 MiB a request, its own Host header: host:port."""
    if not shutil.which("nginx"):
        pytest.skip("nginx is not installed")
    address = f"127.0.0.1:{free_port()}"
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    folders = " ".join(f"{kind}_temp_path {tmp_path}/{kind};" for kind in kinds)
    server = f"server {{ listen {address}; location / {{ proxy_pass http://{plain}; }} }}"
    user = "user root;" if os.geteuid() == 0 else ""
    config = tmp_path / "nginx.conf"
    config.write_text(f"""{user} daemon off; worker_processes 1; pid {tmp_path}/pid; error_log {tmp_path}/error.log;
        events {{}} http {{ access_log off; {folders} {server} }}""")
    process = subprocess.Popen(["nginx", "-c", config, "-p", tmp_path, "-e", tmp_path / "error.log"])
    try:
        deadline = time.monotonic() + 60
        while not answers(address):
            assert process.poll() is None and time.monotonic() < deadline, (tmp_path / "error.log").read_text()
            time.sleep(0.02)
        yield address
    finally:
        process.terminate()
        process.wait(60)


def answers(address: str) -> bool:
    try:
        return httpx.get(f"http://{address}/v2/").status_code == 200
    except httpx.TransportError:
        return False


def test_a_registry_behind_nginx_as_it_comes_is_a_registry(nginx: str, repository: str, tmp_path: Path) -> None:
    registry = open_registry(f"{nginx}/{repository}", tmp_path)
    layer = registry.write(replace(blob_of(CONTENT, "weights"), sha256=None), "application/x-layer")
    config = registry.write(blob_of(b"{}", "config.json"), CONFIG)
    image = registry.put(ImageManifest(config, (layer,)))
    attach(registry, image, TESTS, {"passed": 3})
    registry.put(ImageManifest(config, (layer,)), "v1")
    found = image_of(registry, "v1")
    assert found is not None and found.digest == image.digest
    assert b"".join(registry.read(digest_of(CONTENT))) == CONTENT
    assert find(registry, image.digest, TESTS) == [b'{"passed":3}']
