"""Swaps of gunicorn behind one address under load, by clients that never retry: `python benchmarks/swap.py [SWAPS]`.

Three loads at once: a new connection for each request, connections kept busy, connections idle for 1 s between two
requests. A failure is any request that was sent and not answered 200; a kept connection that the server has closed
before a request is sent is opened again, as every HTTP client does (RFC 9112, 9.5).
"""

import json
import platform
import select
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from tandem.image_config import ImageConfig, config_bytes
from tandem.images.layers import Entry, layer_blob
from tandem.manifests import CONFIG, blob_of
from tandem.records import Image, ImageManifest
from tandem.registries import open_registry
from tandem.settings import Request, VerifySettings
from tandem.targets.process import ProcessTarget
from tandem.targets.unpack import interpreter_tag

CODE = b"""
import time
VERSION = open("version").read()
def app(environ, start_response):
    time.sleep(0.002)
    body = VERSION.encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
GUNICORN = (sys.executable, "-m", "gunicorn", "--no-control-socket", "--threads", "16", "--keep-alive", "75")
COMMANDS = {
    "{listen}": (*GUNICORN, "--bind", "{listen}", "swapped:app"),
    "{port}": (*GUNICORN, "--bind", "127.0.0.1:{port}", "swapped:app"),
}


def make_image(folder: Path, version: str, command: tuple[str, ...]) -> Image:
    """An image whose app answers with its version."""
    registry = open_registry(f"oci:{folder}/registry", folder)
    files = [
        Entry("app/swapped.py", blob_of(CODE, "swapped.py")),
        Entry("app/version", blob_of(version.encode(), "version")),
    ]
    labels = {"dev.tandem.base": f"none {interpreter_tag()}", "dev.tandem.command": json.dumps(command)}
    layer = registry.write(layer_blob(files), "application/vnd.oci.image.layer.v1.tar")
    config = registry.write(blob_of(config_bytes(ImageConfig(labels=labels, workdir="/app")), "config.json"), CONFIG)
    manifest = ImageManifest(config, (layer,))
    return Image(registry, registry.put(manifest, version).digest, manifest)


class Load(threading.Thread):
    """One client: what it sent, what failed and how, which versions answered in which order."""

    def __init__(self, port: int, keep: bool, pause: float, over: threading.Event) -> None:
        super().__init__(daemon=True)
        self.port, self.keep, self.pause, self.over = port, keep, pause, over
        self.sent, self.failures, self.seen = 0, Counter[str](), []
        self.connection: socket.socket | None = None

    def run(self) -> None:
        while not self.over.is_set():
            try:
                version = self.request()
                if version not in self.seen[-1:]:
                    self.seen.append(version)
            except (OSError, ValueError) as error:
                self.failures[f"{type(error).__name__}: {error}"] += 1
                self.connection = None
            self.over.wait(self.pause)

    def request(self) -> str:
        connection = self.connection
        if connection and select.select([connection], [], [], 0)[0]:
            connection.close()
            connection = None
        self.sent += 1
        if connection is None:
            connection = socket.create_connection(("127.0.0.1", self.port), timeout=30)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        header = b"" if self.keep else b"Connection: close\r\n"
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n" + header + b"\r\n")
        answer = b""
        while b"\r\n\r\n" not in answer:
            piece = connection.recv(65536)
            if not piece:
                raise ValueError(f"closed after {len(answer)} bytes of the answer")
            answer += piece
        head, _, body = answer.partition(b"\r\n\r\n")
        length = int(next(x for x in head.lower().split(b"\r\n") if x.startswith(b"content-length:")).split(b":")[1])
        while len(body) < length:
            piece = connection.recv(65536)
            if not piece:
                raise ValueError("closed in the body")
            body += piece
        if b" 200 " not in head.split(b"\r\n")[0]:
            raise ValueError(head.split(b"\r\n")[0].decode())
        closes = b"connection: close" in head.lower()
        self.connection = connection if self.keep and not closes else None
        if self.connection is None:
            connection.close()
        return body.decode()


def measure(kind: str, swaps: int) -> None:
    """Swap under load and print what the clients saw."""
    folder = Path(tempfile.mkdtemp(prefix="tandem-swap-"))
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = int(found.getsockname()[1])
    verify = VerifySettings(ready="/", time_limit=30.0, request=(Request(path="/", contains="v"),))
    target = ProcessTarget("bench", kind.strip("{}"), folder / "home", f"127.0.0.1:{port}", verify)
    over = threading.Event()
    loads = {
        "new connections": [Load(port, False, 0.002, over) for _ in range(4)],
        "busy keep-alive": [Load(port, True, 0.002, over) for _ in range(4)],
        "idle 1 s keep-alive": [Load(port, True, 1.0, over) for _ in range(20)],
    }
    try:
        times = []
        for number in range(swaps + 1):
            began = time.monotonic()
            list(target.roll_out(make_image(folder, f"v{number}", COMMANDS[kind]), target.state()))
            times.append(time.monotonic() - began)
            if number == 0:
                for load in [load for several in loads.values() for load in several]:
                    load.start()
            time.sleep(1)
        over.set()
        for name, several in loads.items():
            for load in several:
                load.join(35)
            failures = sum((load.failures for load in several), Counter[str]())
            back = sum(1 for load in several if load.seen != sorted(load.seen, key=lambda seen: int(seen[1:])))
            sent = sum(load.sent for load in several)
            print(
                f"| {kind} | {name} | {sent} | {failures.total()} | {back} | {sorted(times)[len(times) // 2]:.2f} s |",
                dict(failures) or "",
                flush=True,
            )
    finally:
        over.set()
        target.stop()
        shutil.rmtree(folder)


if __name__ == "__main__":
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    print(f"{count} swaps, {platform.machine()}, Python {platform.python_version()}, {time.strftime('%Y-%m-%d')}\n")
    print("| command takes | load | requests | failed | clients led back to an old version | median roll-out |")
    print("|---|---|---|---|---|---|")
    for each in COMMANDS:
        measure(each, count)
