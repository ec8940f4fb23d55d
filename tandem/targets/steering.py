"""One address, several listening sockets, and every new connection led to the one that it is for.

A version of the app inherits a listening socket of its own on the address that users use, in one SO_REUSEPORT
group; a classic BPF program (socket(7), SO_ATTACH_REUSEPORT_CBPF, no privilege needed) picks the socket by the
connection's source: users reach the version that serves, Tandem's checks, from a source of their own, reach the
one that is being tried. So a version is seen ready at its final place before it takes a user's connection, and
an old one's socket stays open until its queue is empty (closing it earlier is what drops connections, and what
SO_REUSEPORT alone cannot help). Linux and IPv4; elsewhere `lane` gives None and connections are forwarded.
"""

import array
import errno
import socket
import struct
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

SO_ATTACH_REUSEPORT_CBPF = 51
LOAD_SOURCE = (0x20, 0, 0, 0x100000000 - 0x100000 + 12)  # ld [SKF_NET_OFF + 12]: the IPv4 header's source address
JUMP_UNLESS_EQUAL, RETURN = 0x15, 0x06
QUEUE = 1024
LINUX = sys.platform == "linux"


def take(host: str, port: int, tries: int = 100) -> socket.socket:
    """A listening socket at the address, or at the next port that no other program has.

    Raises OSError where the address is not this machine's, not permitted, or all `tries` ports are taken.
    """
    for candidate in range(port, min(port + tries, 65536)) if port else (0,):
        try:
            if candidate:
                _bound(host, candidate, shared=False).close()  # a shared bind would succeed beside another program's
            listening = _bound(host, candidate, shared=LINUX)
            listening.listen(QUEUE)
            return listening
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    raise OSError(errno.EADDRINUSE, f"{host}: ports {port} to {port + tries - 1} are all taken by other programs")


def private() -> socket.socket:
    """A listening socket on a free port of 127.0.0.1."""
    listening = _bound("127.0.0.1", 0, shared=False)
    listening.listen(QUEUE)
    return listening


def reachable(host: str) -> str:
    """Where to connect to what listens at `host`: loopback, where that means every address."""
    if set(host) <= set("0.:"):
        return "::1" if ":" in host else "127.0.0.1"
    return host


def _bound(host: str, port: int, shared: bool) -> socket.socket:
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound


class Steering:
    """The sockets of one address. `door` is the first, always there: who is led to nobody else arrives at it."""

    def __init__(self, door: socket.socket) -> None:
        self.door = door
        self.order = [door]  # as the kernel numbers them
        self.users = door
        self.sources: dict[socket.socket, str] = {}
        host, self.port = door.getsockname()[:2]
        self.host = reachable(host)

    def lane(self) -> socket.socket | None:
        """A new listening socket that only its source (`source_of`) reaches; None where that cannot be had."""
        if not LINUX or self.door.family != socket.AF_INET:
            return None
        try:
            lane = _bound(self.door.getsockname()[0], self.port, shared=True)
            lane.listen(QUEUE)
        except OSError:
            return None
        self.order.append(lane)
        self.sources[lane] = next(
            source for n in range(1, 255) if (source := f"127.64.0.{n}") not in self.sources.values()
        )
        try:
            self._attach()
            if self._reaches(lane):
                return lane
        except OSError:
            pass
        self.close(lane)
        return None

    def source_of(self, lane: socket.socket) -> str:
        """The local address from which connections reach this lane."""
        return self.sources[lane]

    def lead_users(self, to: socket.socket) -> None:
        """From now on every new connection of users arrives at this socket."""
        self.users = to
        if len(self.order) > 1:
            self._attach()

    def close(self, lane: socket.socket) -> None:
        """Take a lane away, once: what waits in its queue is lost."""
        if lane not in self.sources:
            return
        if self.users is lane:
            self.lead_users(self.door)
        last = self.order.pop()  # the kernel puts the last into the gap
        if last is not lane:
            self.order[self.order.index(lane)] = last
        del self.sources[lane]
        with suppress(OSError):
            lane.shutdown(socket.SHUT_RDWR)  # now, even if a process still holds it
        lane.close()
        self._attach()

    def _attach(self) -> None:
        numbers = {lane: self.order.index(lane) for lane in self.order}
        checks = {source: numbers[lane] for lane, source in self.sources.items()}
        _attach(self.door, program(checks, numbers[self.users]))

    def _reaches(self, lane: socket.socket) -> bool:
        """Whether a connection from the lane's source really arrives there."""
        with socket.socket(self.door.family, socket.SOCK_STREAM) as probe:
            probe.settimeout(1.0)
            probe.bind((self.sources[lane], 0))
            probe.connect((self.host, self.port))
            name = probe.getsockname()
            lane.settimeout(0.5)
            deadline = time.monotonic() + 1
            while time.monotonic() < deadline:
                try:
                    arrived, peer = lane.accept()
                except TimeoutError:
                    return False
                finally:
                    lane.settimeout(None)
                arrived.close()
                if peer == name:
                    return True
        return False


def program(checks: Mapping[str, int], users: int) -> bytes:
    """The BPF program: each source to its socket's number, everybody else to `users`."""
    instructions = [LOAD_SOURCE]
    for source, number in checks.items():
        address = int.from_bytes(socket.inet_aton(source), "big")
        instructions += [(JUMP_UNLESS_EQUAL, 0, 1, address), (RETURN, 0, 0, number)]
    return b"".join(struct.pack("=HBBI", *each) for each in [*instructions, (RETURN, 0, 0, users)])


def _attach(to: socket.socket, content: bytes) -> None:
    instructions = array.array("B", content)
    fprog = struct.pack("@HP", len(content) // 8, instructions.buffer_info()[0])
    to.setsockopt(socket.SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, fprog)


def url_of(address: list[Any]) -> str:
    """The URL of a holder's address, [host, port]."""
    host = reachable(address[0])
    return f"http://[{host}]:{address[1]}" if ":" in host else f"http://{host}:{address[1]}"


def moved(status: dict[str, Any], wanted: str) -> str | None:
    """What to say where the app answers somewhere else than app.toml says."""
    asked, at = status["asked"], url_of(status["address"])
    if asked != wanted:
        return f"the app still answers at {at}: 'tandem down' and 'tandem up' bring it to {wanted}"
    if asked.rpartition(":")[2] in (str(status["address"][1]), "0"):
        return None
    return f"{asked} was taken by another program: the app answers at {at}"
