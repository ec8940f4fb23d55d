"""The warm template: one process with Prefect and the flows imported, that forks a child for each flow run.

It holds no thread, no lock, no connection, so that a fork of it is as good as a new process. launch.py asks, is
answered "w", and says "g": only then is there a fork, so that nobody who gave up waiting has his run twice. It ends
when its worker's pipe does, after the last of its runs; SIGTERM ends its runs as well.
"""

import fcntl
import gc
import importlib
import json
import os
import selectors
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from tandem.triggers.forked import Asked, become, needs_its_own, read, run
from tandem.triggers.ready import make_ready

# what Prefect imports only once a run or a task begins
ENGINE = ("prefect.engine", "prefect.flow_engine", "prefect.task_engine", "prefect._internal.metrics")


@dataclass
class Template:
    """The parent's side: who asks, which child runs for whom."""

    listener: socket.socket
    selector: selectors.BaseSelector
    wake: socket.socket
    held: Sequence[TextIO | socket.socket] = ()  # open for as long as it lives, and not in its children
    children: dict[int, socket.socket] = field(default_factory=dict)
    open: bool = True
    told: bool = False

    def serve(self) -> Asked | None:
        """Fork for each request until the worker is gone and nothing runs; in a child, what it was asked."""
        while self.open or self.children:
            for key, _ in self.selector.select(5):
                if key.data == "listener" and self.open:
                    if asked := self._accept():
                        return asked
                elif key.data == "worker" and self.open:
                    self.close()
                elif key.data == "wake":
                    self.wake.recv(4096)
                elif key.data in self.children:
                    self._signal(key.data)
            self._reap()
            if self.told:
                self._end()
        return None

    def close(self) -> None:
        """Take no more requests."""
        if self.open:
            self.open = False
            self.selector.unregister(self.listener)
            self.selector.unregister(0)
            self.listener.close()

    def forget(self) -> None:
        """In a child: close what is the parent's."""
        self.selector.close()
        for each in (self.listener, self.wake, *self.held, *self.children.values()):
            each.close()
        self.children.clear()

    def _accept(self) -> Asked | None:
        connection, _ = self.listener.accept()
        connection.settimeout(2)
        try:
            asked = read(connection)
            if needs_its_own(asked.environment):
                connection.sendall(b"c")
                connection.close()
                return None
            connection.sendall(b"w")
            if connection.recv(1) != b"g":
                raise ValueError("it did not wait")
        except (OSError, ValueError):
            connection.close()
            return None
        try:
            pid = os.fork()
        except OSError as error:
            print(f"template: no process for a run: {error}", file=sys.stderr, flush=True)
            connection.close()
            return None
        if pid == 0:
            return asked
        self.children[pid] = connection
        self.selector.register(connection, selectors.EVENT_READ, pid)
        self._send(connection, pid)
        return None

    def _signal(self, pid: int) -> None:
        """What launch.py hands on; where it is gone, the run goes too: nobody could see it any more."""
        try:
            numbers = self.children[pid].recv(16)
        except OSError:
            numbers = b""
        for number in numbers:
            os.kill(pid, number)
        if not numbers:
            self.selector.unregister(self.children[pid])
            _kill_group(pid)

    def _reap(self) -> None:
        while self.children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            connection = self.children.pop(pid, None)
            if connection is not None:
                with suppress(KeyError, ValueError):
                    self.selector.unregister(connection)
                self._send(connection, os.waitstatus_to_exitcode(status))
                connection.close()

    def _end(self, patience: float = 4.0) -> None:
        self.close()
        for pid in self.children:
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + patience
        while self.children and time.monotonic() < deadline:
            self._reap()
            time.sleep(0.02)
        for pid in self.children:
            _kill_group(pid)
        self.told = False

    @staticmethod
    def _send(connection: socket.socket, number: int) -> None:
        with suppress(OSError):
            connection.sendall(number.to_bytes(4, "big", signed=True))


def _kill_group(pid: int) -> None:
    for kill in (os.killpg, os.kill):  # its group, and itself where it has not made one yet
        with suppress(ProcessLookupError):
            kill(pid, signal.SIGKILL)


def main(argv: list[str]) -> None:
    """`template.py FOLDER REGISTER MODULE…`: import the modules, then fork for whoever asks at FOLDER/current.

    REGISTER is a folder of files that are locked for as long as their process lives: this one is found in it.
    """
    folder, register, *modules = argv
    name = f"template-{os.getpid()}"
    file = Path(register) / f"{name}.json"
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(json.dumps({"name": name, "pid": os.getpid(), "about": ""}))
        lock.flush()
        for module in (*ENGINE, *modules):
            importlib.import_module(module)
        make_ready()
        if len(threads := threading.enumerate()) > 1:
            raise SystemExit(f"template: an import started {threads[1:]}: a fork of this process would not be whole")
        address = Path(folder) / f"{os.getpid()}"
        template = _listen(address, lock)
        parent, worker = os.getpid(), os.getppid()
        try:
            asked = template.serve()
        finally:
            if os.getpid() == parent:
                address.unlink(missing_ok=True)
                file.unlink(missing_ok=True)
                if os.getppid() != worker:  # it was killed, and could not clear up
                    shutil.rmtree(folder, ignore_errors=True)
        if asked:
            template.forget()
            become(asked, parent)
    if asked:
        run()


def _listen(address: Path, lock: TextIO) -> Template:
    """Listen, and then lead FOLDER/current here: whoever asked before was answered by another, or by nobody."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(address))
    listener.listen(64)
    wake, bell = socket.socketpair()
    bell.setblocking(False)
    selector = selectors.DefaultSelector()
    template = Template(listener, selector, wake, (lock, bell))
    selector.register(listener, selectors.EVENT_READ, "listener")
    selector.register(wake, selectors.EVENT_READ, "wake")
    selector.register(0, selectors.EVENT_READ, "worker")

    def tell(*_: object) -> None:
        template.told = True

    signal.signal(signal.SIGTERM, tell)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(bell.fileno(), warn_on_full_buffer=False)
    gc.collect()
    gc.freeze()
    link = address.with_name(f"{address.name}.link")
    link.symlink_to(address.name)
    link.replace(address.with_name("current"))
    return template


if __name__ == "__main__":
    main(sys.argv[1:])
