"""Connections passed on to a program that cannot inherit a socket: bytes both ways, half-closes and resets too."""

import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

PIECE = 64 * 1024
PATIENCE = 30.0  # seconds that a connection waits for a program that is just being started
NOBODY = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nRetry-After: 1\r\nConnection: close\r\n"
    b"\r\nNo release serves here now.\r\n"
)
Place = tuple[str, int]


class Forwarder:
    """Accepts connections and passes each on to the place that `choose` gives when it arrives (None: a 503)."""

    def __init__(self, choose: Callable[[], Place | None]) -> None:
        self.choose = choose
        self.open: Counter[Place] = Counter()
        self.changed = threading.Condition()

    def serve(self, listening: socket.socket) -> None:
        """Accept from this socket, in a thread, until it is shut down."""
        threading.Thread(target=self._accept, args=(listening,), daemon=True).start()

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                client, _ = listening.accept()
            except (OSError, ValueError):
                if listening.fileno() < 0 or not _listens(listening):
                    return
                time.sleep(0.05)  # out of descriptors, or a connection that is gone already
                continue
            self.take(client)

    def take(self, client: socket.socket) -> None:
        """Pass one accepted connection on, in threads of its own."""
        threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        with client:
            reached = self._connect()
            if reached is None:
                _refuse(client)
                return
            server, place = reached
            try:
                with server:
                    back = threading.Thread(target=_pump, args=(server, client), daemon=True)
                    back.start()
                    _pump(client, server)
                    back.join()
            finally:
                with self.changed:
                    self.open[place] -= 1
                    self.changed.notify_all()

    def _connect(self) -> tuple[socket.socket, Place] | None:
        deadline = time.monotonic() + PATIENCE
        while place := self.choose():
            with self.changed:
                self.open[place] += 1
            try:
                server = socket.create_connection(place, timeout=5)
                server.settimeout(None)
                return server, place
            except OSError:
                with self.changed:
                    self.open[place] -= 1
                    self.changed.notify_all()
                if time.monotonic() > deadline:
                    return None
                time.sleep(0.05)
        return None

    def drained(self, place: Place, limit: float) -> bool:
        """Wait until no connection to this place is open, at most `limit` seconds."""
        with self.changed:
            return self.changed.wait_for(lambda: self.open[place] <= 0, limit)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    """Bytes from one to the other until the end, which is passed on as an end, or a reset as a reset."""
    try:
        for side in (source, sink):
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while piece := source.recv(PIECE):
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        for side in (source, sink):
            with suppress(OSError):
                side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                side.shutdown(socket.SHUT_RDWR)


def _refuse(client: socket.socket) -> None:
    """Answer 503, and read what the client still sends, so that the answer is not lost in a reset."""
    with suppress(OSError):
        client.settimeout(1)
        client.recv(PIECE)
        client.sendall(NOBODY)
        client.shutdown(socket.SHUT_WR)
        while client.recv(PIECE):
            pass


def _listens(listening: socket.socket) -> bool:
    with suppress(OSError):
        return bool(listening.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    return False
