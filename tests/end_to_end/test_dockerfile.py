"""The repository's own Dockerfile by `docker build .`, with the base and the wheels of a network without an index."""

import base64
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import docker
import httpx
import pytest
from docker.errors import APIError

from app.train import sample, train
from tests import docker_engine
from tests.docker_engine import BaseImage

engine, engine_registry, base_image = docker_engine.engine, docker_engine.engine_registry, docker_engine.base_image
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def wheelhouse() -> Path:
    """The wheels that app/requirements.txt locks, downloaded once a machine."""
    locked = ROOT / "app" / "requirements.txt"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tandem-tests"
    folder = cache / f"wheels-{hashlib.sha256(locked.read_bytes()).hexdigest()[:16]}"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "wheels.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            half = cache / "wheels.half"
            shutil.rmtree(half, ignore_errors=True)
            argv = [sys.executable, "-m", "pip", "download", "--quiet", "--require-hashes", "--only-binary", ":all:"]
            subprocess.run([*argv, "--python-version", "3.11", "--requirement", locked, "--dest", half], check=True)
            half.rename(folder)
    return folder


@pytest.fixture
def built(engine: str, base_image: BaseImage, wheelhouse: Path, tmp_path: Path) -> Iterator[str]:
    """What `docker build .` makes of a clone: the image's id."""
    clone = tmp_path / "clone"
    shutil.copytree(ROOT / "app", clone / "app")
    shutil.copytree(wheelhouse, clone / "wheelhouse")
    for name in ("Dockerfile", ".dockerignore"):
        shutil.copy(ROOT / name, clone)
    arguments = ["--build-arg", f"BASE={base_image.name}", "--build-arg", "PIP_OPTIONS=--no-index"]
    done = subprocess.run(
        ["docker", "build", "--quiet", *arguments, "."],
        cwd=clone, check=True, stdout=subprocess.PIPE, text=True,
        env=os.environ | {"DOCKER_HOST": engine, "DOCKER_BUILDKIT": "0"},
    )  # fmt: skip
    image = done.stdout.strip()
    yield image
    client = docker.DockerClient(engine)
    with suppress(APIError):  # another test's build of the same files may stand on it
        client.images.remove(image, force=True)
    client.close()


def test_the_sample_app_is_built_by_docker_and_serves_without_any_rights(
    engine: str, built: str, tmp_path: Path
) -> None:
    train(tmp_path / "digits")
    for file in (tmp_path / "digits", *(tmp_path / "digits").iterdir()):
        file.chmod(0o755)
    client = docker.DockerClient(engine)
    container = client.containers.run(
        built, detach=True, read_only=True, cap_drop=["ALL"], security_opt=["no-new-privileges"], tmpfs={"/tmp": ""},
        ports={"8000/tcp": ("127.0.0.1", None)}, volumes=[f"{tmp_path}/digits:/model:ro"],
    )  # fmt: skip
    try:
        container.reload()
        address = f"http://127.0.0.1:{container.ports['8000/tcp'][0]['HostPort']}"
        wait(lambda: ready(address), lambda: container.logs().decode())
        picture = base64.b64encode(sample()).decode()
        assert '"7"' in httpx.post(f"{address}/score", json={"input": [picture]}, timeout=60).text
        assert container.exec_run("id -u").output == b"10001\n"
        held = container.exec_run("ls -a /app /app/app /venv/bin").output.decode().split()
        assert {"train.py", "wheelhouse", "pip", "Dockerfile"}.isdisjoint(held)
        container.stop(timeout=20)
        assert container.wait()["StatusCode"] == 0, "it obeyed: who is killed after those 20 s has another"
    finally:
        container.remove(force=True)
        client.close()


def ready(address: str) -> bool:
    try:
        return httpx.get(f"{address}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def wait(until: Callable[[], bool], last_seen: Callable[[], str]) -> None:
    deadline = time.monotonic() + 240
    while not until():
        assert time.monotonic() < deadline, last_seen()
        time.sleep(0.1)
