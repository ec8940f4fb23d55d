"""Fixtures on a real Docker daemon, for any conftest.py to import: `engine`, `engine_registry`, `base_image`.

With DOCKER_HOST set, that daemon is used; without it one of the tests' own is started, needs root, is shared by
every process of the test run, and is gone after the last of them.
"""

import fcntl
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tandem.image_config import ImageConfig, config_bytes
from tandem.manifests import CONFIG, blob_of, image_of
from tandem.records import Blob, Image, ImageManifest
from tandem.registries import open_registry
from tests.contracts.registries.conftest import docker_registry

DOCKERD = Path(__file__).with_name("dockerd.py")
PACKAGES = "python3,python3-venv,ca-certificates"
UNREAD = ("doc", "man", "locale", "info")  # folders below /usr/share that stay out
LAYER = "application/vnd.oci.image.layer.v1.tar"


@dataclass(frozen=True)
class BaseImage:
    """Debian with Python 3.11, in a registry on this machine that asks for no login."""

    image: Image
    name: str  # as docker names it: 127.0.0.1:PORT/bases/python@sha256:…


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Docker daemon that answers: unix:///…/docker.sock, or what DOCKER_HOST says."""
    if given := os.environ.get("DOCKER_HOST"):
        yield given
        return
    for program, package in (("dockerd", "docker.io"), ("docker", "docker.io"), ("ip", "iproute2")):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed (Debian's {package}), and DOCKER_HOST names no daemon")
    if os.geteuid():
        pytest.skip("a Docker daemon of the tests' own needs root: set DOCKER_HOST to one that is there")
    with own_engine(_shared(tmp_path_factory)) as address:
        yield address


@pytest.fixture(scope="session")
def engine_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Debian's registry, one a test process, which asks for no login and that the daemon may use: host:port."""
    with docker_registry(tmp_path_factory.mktemp("engine-registry")) as address:
        yield address


@pytest.fixture(scope="session")
def base_image(engine_registry: str, tmp_path_factory: pytest.TempPathFactory) -> BaseImage:
    """A Python base image for `assemble` and for `FROM`, made without Docker Hub, once a machine."""
    return push_base_image(engine_registry, tmp_path_factory.mktemp("base"))


def push_base_image(address: str, folder: Path) -> BaseImage:
    """The base image in the registry at `address` (host:port); `folder` is for what the registry remembers."""
    tar = base_tar()
    registry = open_registry(f"{address}/bases/python", folder)

    def pieces(offset: int) -> Iterator[bytes]:
        with tar.open("rb") as file:
            file.seek(offset)
            while piece := file.read(1024 * 1024):
                yield piece

    layer = registry.write(Blob("base.tar", tar.stat().st_size, None, pieces), LAYER)
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    config = ImageConfig(env={"PATH": path}, command=("python3",), diff_ids=(layer.digest,))
    described = registry.write(blob_of(config_bytes(config), "config.json"), CONFIG)
    registry.put(ImageManifest(described, (layer,)), "bookworm")
    image = image_of(registry, "bookworm")
    assert image is not None
    return BaseImage(image, str(image))


def base_tar() -> Path:
    """A root file system, made by mmdebstrap in about 45 s and kept in the user's cache: 177 MB."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tandem-tests"
    tar = cache / "bookworm-python-1.tar"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not tar.is_file():
            if not shutil.which("mmdebstrap"):
                pytest.skip("mmdebstrap is not installed: it makes the base image")
            argv = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}"]
            argv += [f"--dpkgopt=path-exclude=/usr/share/{unread}/*" for unread in UNREAD]
            half = cache / "half.tar"
            made = subprocess.run([*argv, "bookworm", half], capture_output=True, text=True)
            assert made.returncode == 0, made.stderr[-2000:]
            half.replace(tar)
    return tar


def _shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that every process of this test run has in common."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if os.environ.get("PYTEST_XDIST_WORKER") else own


@contextmanager
def own_engine(shared: Path) -> Iterator[str]:
    """A daemon's address as long as this is open; afterwards the daemon is gone, where nobody else uses it.

    Processes that name the same folder `shared` have one daemon.
    """
    named = shared / "dockerd.folder"
    with (shared / "dockerd.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        user = _join(Path(named.read_text())) if named.exists() else None
        if user is None:
            memory = Path("/dev/shm")  # twice as fast, where there is room
            roomy = memory.is_dir() and shutil.disk_usage(memory).free > 8 * 1024**3
            folder = tempfile.mkdtemp(prefix="td", dir=memory if roomy else "/tmp")  # short: it holds sockets
            named.write_text(folder)
            user = _started(Path(folder), shared / "dockerd.log")
    try:
        yield f"unix://{named.read_text()}/docker.sock"
    finally:
        user.shutdown(socket.SHUT_WR)
        user.settimeout(240)  # as long as a test's own time limit allows
        assert user.recv(16) == b""  # where this was the last user, all is gone now
        user.close()


def _started(folder: Path, log: Path) -> socket.socket:
    with log.open("ab") as written:
        argv = [sys.executable, str(DOCKERD), str(folder)]
        supervisor = subprocess.Popen(argv, stdout=written, stderr=written, start_new_session=True)
    deadline = time.monotonic() + 180
    while True:
        if user := _join(folder):
            return user
        assert supervisor.poll() is None and time.monotonic() < deadline, log.read_text()[-2000:]
        time.sleep(0.05)


def _join(folder: Path) -> socket.socket | None:
    """A connection to the daemon's supervisor, or None where there is none, or it is about to end."""
    user = socket.socket(socket.AF_UNIX)
    try:
        user.settimeout(30)
        user.connect(str(folder / "users"))
        if user.recv(16) == b"ready\n":
            return user
    except OSError:
        pass
    user.close()
    return None
