"""Requests to the holder: one line of JSON there, one back, over a Unix socket that only this user may open."""

import hashlib
import json
import os
import socket
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

LONGEST_PATH = 100  # bytes: sun_path has 104 on macOS, 108 on Linux
Answer = Callable[[dict[str, Any], object], dict[str, Any]]


def socket_path(folder: Path) -> Path:
    """Where the holder of this folder listens: in it, or if that path is too long, in this user's folder of /tmp."""
    path = folder / "holder.sock"
    if len(os.fsencode(path)) <= LONGEST_PATH:
        return path
    short = Path(tempfile.gettempdir()) / f"tandem-{os.getuid()}"
    short.mkdir(mode=0o700, exist_ok=True)
    if short.is_symlink() or short.stat().st_uid != os.getuid() or short.stat().st_mode & 0o077:
        raise PermissionError(f"{short} is not this user's own and private: remove it")
    return short / f"{hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]}.sock"


class Connection:
    """A conversation with the holder; what was begun in it and not finished is undone when it ends."""

    def __init__(self, path: Path, timeout: float = 60.0) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        try:
            self.socket.connect(str(path))
        except OSError:
            self.socket.close()
            raise
        self.lines = self.socket.makefile("rb")

    def ask(self, do: str, **details: object) -> dict[str, Any]:
        """The holder's answer; ConnectionError where it died."""
        self.socket.sendall(json.dumps({"do": do, **details}).encode() + b"\n")
        line = self.lines.readline()
        if not line:
            raise ConnectionResetError("the holder closed the connection")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the conversation."""
        self.lines.close()
        self.socket.close()


def listen(path: Path) -> socket.socket:
    """The holder's end; nobody but this user can connect."""
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o077)
    try:
        listening.bind(str(path))
    finally:
        os.umask(before)
    listening.listen(16)
    return listening


def serve(listening: socket.socket, answer: Answer, left: Callable[[object], None]) -> None:
    """Answer every request, each connection in a thread; `left` with the connection's key when it ends."""
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        threading.Thread(target=_converse, args=(connection, answer, left), daemon=True).start()


def _converse(connection: socket.socket, answer: Answer, left: Callable[[object], None]) -> None:
    key = object()
    with connection, connection.makefile("rb") as lines, suppress(OSError, ValueError):
        for line in lines:
            connection.sendall(json.dumps(answer(json.loads(line), key)).encode() + b"\n")
    left(key)
