"""The receiver as a process: waitress, which buffers each request whole before it is answered."""

import copy
import logging
import os
import resource
import signal
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from flask import Flask
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import TcpWSGIServer

from tandem.errors import TandemError
from tandem.triggers.api import Api
from tandem.triggers.hints import Hints
from tandem.triggers.listening import Listening
from tandem.triggers.webhook import READ, create_app

PATIENCE = 20  # seconds that a request may take to arrive; GitHub gives up after 10
LARGEST = 26 << 20  # bytes of a body: GitHub sends up to 25 MB
IN_HAND = 128 << 20  # bytes of all bodies above READ together, on their way in or waiting for their turn
CONNECTIONS, AT_ONCE = 1000, 32  # open, and accepted at one look
LISTEN = {
    "connection_limit": CONNECTIONS,
    "backlog": 1024,
    "channel_timeout": PATIENCE,
    "cleanup_interval": 2,
    "recv_bytes": 1 << 16,
    "max_request_header_size": 1 << 14,
    "max_request_body_size": LARGEST,
    "ident": "",
    "clear_untrusted_proxy_headers": True,
}


def receive(root: Path, host: str, port: int, connect: Callable[[], Api]) -> None:
    """Take hooks at host:port until SIGTERM or SIGINT; `connect` gives Prefect's API. Raises TandemError."""
    log = _log()
    _allow_files()
    with Hints(connect, log) as hints, Listening(root, os.environ, log) as listening:
        app = create_app(listening, hints, log)
        server = listen(app, host, port)
        signal.signal(signal.SIGTERM, _end)
        log.info("listening at http://%s:%s/hooks/SENDER", server.effective_host, server.effective_port)
        server.run()
        server.close()


def listen(app: Flask, host: str, port: int) -> "Listener":
    """A server that accepts connections for its run() to answer. Port 0: a free one. Raises TandemError."""
    try:
        return Listener(app, host=host, port=port, **LISTEN)
    except (OSError, ValueError) as error:
        raise TandemError(f"cannot listen at {host}:{port}: {error}: choose another with --port") from None


class Parser(HTTPRequestParser):
    """One request. A body above READ needs a length, and room; 413 otherwise, before it comes in."""

    def __init__(self, adj: Any, server: "Listener") -> None:
        super().__init__(adj)
        self.server = server

    def parse_header(self, header_plus: bytes) -> None:
        """The first line and the headers."""
        super().parse_header(header_plus)
        if self.chunked or (self.content_length > READ and self.server.in_hand() > IN_HAND):
            self.adj = self.server.small


class Channel(HTTPChannel):
    """A connection. A request that trickles in is not activity: PATIENCE counts from its first byte."""

    began = 0.0

    def __init__(self, server: "Listener", *rest: Any, **named: Any) -> None:
        super().__init__(server, *rest, **named)
        self.parser_class = partial(Parser, server=server)

    def received(self, data: bytes) -> bool:
        """More bytes."""
        if self.request is None:
            self.began = time.time()
        taken = bool(super().received(data))
        if self.request is not None:
            self.last_activity = self.began
        return taken


class InTurn:
    """Requests that are whole, in the order they came: the thread that received them answers them, and no other.

    A hook takes less than a millisecond and waits for nothing; more threads would only fight for the interpreter.
    """

    def __init__(self) -> None:
        self.waiting: deque[Channel] = deque()

    def add_task(self, task: Channel) -> None:
        """A channel with a request."""
        self.waiting.append(task)

    def work(self) -> None:
        """Answer all that wait."""
        while self.waiting:
            channel = self.waiting.popleft()
            try:
                channel.service()
                if channel.connected:
                    channel.handle_write()  # head and body in one, and at once
            except Exception:  # as waitress' own threads do: one channel's trouble is no other's
                channel.logger.exception("a channel failed")
                channel.cancel()

    def shutdown(self, *_: object) -> None:
        """Nothing runs beside."""


class Listener(TcpWSGIServer):
    """One address. `small` are its limits without large bodies."""

    channel_class = Channel

    def __init__(self, app: Flask, **named: Any) -> None:
        super().__init__(app, dispatcher=InTurn(), **named)
        self.adj.send_bytes = 1 << 16  # an answer is sent once it is whole
        self.small = copy.copy(self.adj)
        self.small.max_request_body_size = READ + 1

    def run(self) -> None:
        """Receive and answer, until SystemExit, KeyboardInterrupt or close()."""
        with suppress(SystemExit, KeyboardInterrupt):
            while self._map:
                self.asyncore.loop(timeout=1, use_poll=True, map=self._map, count=1)
                self.task_dispatcher.work()

    def handle_accept(self) -> None:
        """Whoever knocks: each look at the sockets costs a little for every open one, so not one a look."""
        for _ in range(AT_ONCE):
            open_ones = len(self._map)
            super().handle_accept()
            if len(self._map) == open_ones:
                return

    def pull_trigger(self) -> None:
        """Nobody has to be woken: who answers is who waits for more."""

    def in_hand(self) -> int:
        """Bytes of the large bodies that are coming in, or wait for their turn."""
        requests = [each for channel in self.active_channels.values() for each in (channel.request, *channel.requests)]
        return sum(each.content_length for each in requests if each and each.content_length > READ)


def _log() -> logging.Logger:
    log = logging.getLogger("tandem.receiver")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    for each in (log, logging.getLogger("waitress")):
        each.handlers, each.propagate = [handler], False
    log.setLevel(logging.INFO)
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False  # "Logging HOWTO", Optimization
    vars(logging)["_srcfile"] = None
    return log


def _allow_files() -> None:
    """Each connection is a file, each large body another."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS + 200
    if soft != resource.RLIM_INFINITY and soft < wanted:
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


def _end(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)
