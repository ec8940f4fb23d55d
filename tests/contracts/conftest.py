"""The clouds' storage on this machine, once a test process: Azurite and moto."""

import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import pytest

S3_SERVER = Path(__file__).with_name("s3_server.py")


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Azurite's blob service over plain HTTP: host:port."""
    with azurite_server(tmp_path_factory.mktemp("azurite")) as address:
        yield address


@pytest.fixture(scope="session")
def azurite_with() -> Callable[..., AbstractContextManager[str]]:
    """azurite_with(folder, *options): one more of them, with these options: host:port."""
    return azurite_server


@contextmanager
def azurite_server(folder: Path, *options: str | Path) -> Iterator[str]:
    """Azurite with further options: host:port."""
    port = free_port()
    argv: list[str | Path] = [azurite_program(), "--skipApiVersionCheck", "--inMemoryPersistence", "--disableTelemetry"]
    argv += ["--silent", "--blobHost", "127.0.0.1", "--blobPort", str(port), *options]
    with server(argv, folder, port):
        yield f"127.0.0.1:{port}"


def azurite_program() -> str:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    program = cache / "tandem/azurite/node_modules/.bin/azurite-blob"
    found = str(program) if program.is_file() else shutil.which("azurite-blob")
    if found is None or not shutil.which("node"):
        pytest.skip("Azurite is not installed: 'sh scripts/azurite.sh' puts it into your cache (needs node and npm)")
    return str(found)


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """moto's S3 over plain HTTP: host:port."""
    port = free_port()
    with server([sys.executable, S3_SERVER, str(port)], tmp_path_factory.mktemp("s3"), port):
        yield f"127.0.0.1:{port}"


def free_port() -> int:
    """A port that nobody has now, and that the system gives nobody who asks it for any, until it is bound again."""
    while True:
        port = random.randrange(11_000, 20_000)
        with socket.socket() as free, suppress(OSError):
            free.bind(("127.0.0.1", port))
            return port


@contextmanager
def server(argv: list[str | Path], folder: Path, port: int) -> Iterator[None]:
    log = folder / "server.log"
    with log.open("wb") as written:
        started = subprocess.Popen(argv, cwd=folder, stdout=written, stderr=written)
    try:
        wait_for(lambda: listens(port), lambda: started.poll() is None, log.read_text)
        yield
    finally:
        started.terminate()
        started.wait(60)


def wait_for(ready: Callable[[], bool], alive: Callable[[], bool], last_seen: Callable[[], str]) -> None:
    deadline = time.monotonic() + 120
    while not ready():
        assert alive() and time.monotonic() < deadline, last_seen()
        time.sleep(0.02)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def bucket(request: pytest.FixtureRequest) -> str:
    """A container's or bucket's name of this test's own."""
    return f"test-{abs(hash(request.node.nodeid)):x}"
