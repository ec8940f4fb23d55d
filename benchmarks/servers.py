"""The real parts that the benchmarks talk to, each a process of its own on 127.0.0.1, on one disk."""

import json
import math
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
PATIENCE = 60.0  # seconds that a server may take to listen
ACCOUNT = "devstoreaccount1"  # Azurite's, and its key, which everybody knows
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@dataclass(frozen=True)
class Server:
    """A process that listens at `address` (host:port)."""

    address: str
    pid: int

    def cpu(self) -> float:
        """Seconds of CPU that it and its ended children have used so far (proc(5), stat: utime to cstime)."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def azurite(folder: Path, port: int) -> Iterator[Server]:
    """Azurite with its blobs on disk, and what an earlier one left in this folder.

    A new one for each run: after some ten downloads of 512 MiB, whoever makes them, each costs it 2-3 times the CPU.
    """
    folder.mkdir(parents=True, exist_ok=True)
    program = subprocess.run(["sh", HERE.parent / "scripts" / "azurite.sh"], check=True, capture_output=True, text=True)
    argv = [program.stdout.strip(), "--skipApiVersionCheck", "--disableTelemetry", "--silent", "--location", folder]
    with running([*argv, "--blobHost", "127.0.0.1", "--blobPort", str(port)], folder, port) as server:
        yield server


@contextmanager
def registry(folder: Path) -> Iterator[Server]:
    """Debian's docker-registry with nothing in it; what is pushed goes away with it."""
    port, folder = free_port(), made(folder)
    config = {
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
        "http": {"addr": f"127.0.0.1:{port}", "secret": "one for all"},
    }
    (folder / "config.yml").write_text(json.dumps(config))  # JSON is YAML
    try:
        with running(["docker-registry", "serve", folder / "config.yml"], folder, port) as server:
            yield server
    finally:
        shutil.rmtree(folder)


@contextmanager
def front(folder: Path, back: str, delay: float, rate: float = math.inf) -> Iterator[Server]:
    """A proxy before `back` that answers each request `delay` seconds later, each connection at `rate` bytes a second
    at most; what it saw is in `folder`/seen.
    """
    port, folder = free_port(), made(folder)
    argv = [sys.executable, HERE / "front.py", str(port), back, str(delay), folder / "seen", str(rate)]
    with running(argv, folder, port) as server:
        yield server


@contextmanager
def containerd(folder: Path) -> Iterator[Server]:
    """A containerd with nothing in it; its address is a socket's path, so `folder`'s should be short."""
    folder = made(folder)
    log, config, listening = folder / "log", folder / "config.toml", folder / "s"
    config.write_text(f"""version = 2
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
grpc.address = "{listening}"
ttrpc.address = "{listening}.ttrpc"
""")
    with log.open("wb") as written:
        process = subprocess.Popen(["containerd", "--config", config], stdout=written, stderr=written)
    try:
        deadline = time.monotonic() + PATIENCE
        while subprocess.run(["ctr", "--address", listening, "version"], capture_output=True, check=False).returncode:
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"containerd does not answer: {log.read_text()[-1000:]}")
            time.sleep(0.05)
        yield Server(str(listening), process.pid)
    finally:
        process.terminate()
        process.wait(20)
        shutil.rmtree(folder)


@contextmanager
def running(argv: list[str | Path], folder: Path, port: int) -> Iterator[Server]:
    """The process once it listens; ended afterwards."""
    log = folder / "server.log"
    with log.open("wb") as written:
        process = subprocess.Popen(argv, cwd=folder, stdout=written, stderr=written)
    try:
        deadline = time.monotonic() + PATIENCE
        while not listens(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{argv[0]} does not listen at {port}: {log.read_text()[-1000:]}")
            time.sleep(0.02)
        yield Server(f"127.0.0.1:{port}", process.pid)
    finally:
        process.terminate()
        process.wait(20)


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def listens(port: int) -> bool:
    """Whether somebody does."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def made(folder: Path) -> Path:
    """The folder, made."""
    folder.mkdir(parents=True)
    return folder
