"""The one runner of other programs: never a shell, own process group, time limit, bounded output.

A Command is a value, built by pure functions elsewhere. A secret goes in by `env` or `stdin`, never by argv.
"""

import contextlib
import os
import re
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

Say = Callable[[str], None]

KEPT = 64 * 1024  # bytes of output that are kept: its end
SHOWN = 1024 * 1024  # characters of output that are passed on; a flood is cut here
LINE = 4096  # characters of one line
PIECE = 64 * 1024
STDIN = 16 * 1024  # what every pipe takes without a reader
TICK = 0.1

_INVISIBLE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)|[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_USERINFO = re.compile(r"(\b[a-zA-Z][\w+.-]{0,20}://)[^/\s@]{1,500}@")


@dataclass(frozen=True)
class Command:
    """A program to run. `env` is its whole environment; `time_limit` is in seconds; `stdin` at most 16 KiB."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    cwd: str | None = None
    stdin: bytes = field(default=b"", repr=False)
    time_limit: float = 60.0


@dataclass(frozen=True)
class Finished:
    """How a program ended: `code` is its exit code, or minus the signal that ended it.

    `output` is the end (64 KiB) of what it printed, stdout and stderr as they came, without control characters.
    """

    code: int
    output: str
    seconds: float
    timed_out: bool = False


class Failed(Exception):
    """A streamed program did not end well; callers turn it into an error that says what to do."""

    def __init__(self, finished: Finished) -> None:
        super().__init__(finished.output)
        self.finished = finished


def run(command: Command, say: Say | None = None) -> Finished:
    """Run to the end, or to the time limit; then nothing of its process group is left.

    `say` gets the output as it comes, in batches of whole lines, at most 1 MiB in all. FileNotFoundError where
    there is no such program.
    """
    began = time.monotonic()
    batches = Batches(say)
    with _started(command, subprocess.STDOUT) as process:
        for _, piece in _pieces(process, began + command.time_limit):
            batches.take(piece)
        timed_out = process.poll() is None and not _ends(process, began + command.time_limit)
    batches.end()
    return Finished(process.returncode, batches.kept(), time.monotonic() - began, timed_out)


def stream(command: Command, separator: bytes = b"\n") -> Iterator[bytes]:
    """What it prints on stdout, record by record, as it comes; closing the iterator ends the program.

    Raises Failed at the end where the exit code is not 0; its output is then what stderr held.
    """
    began = time.monotonic()
    rest, errors = b"", bytearray()
    with _started(command, subprocess.PIPE) as process:
        for is_error, piece in _pieces(process, began + command.time_limit):
            if is_error:
                errors += piece
                del errors[:-KEPT]
                continue
            *records, rest = (rest + piece).split(separator)
            yield from records
        timed_out = not _ends(process, began + command.time_limit)
    if process.returncode or timed_out:
        raise Failed(Finished(process.returncode, visible(bytes(errors)), time.monotonic() - began, timed_out))
    if rest:
        yield rest


def visible(output: bytes) -> str:
    """Output as text: undecodable bytes marked, escape sequences and control characters gone."""
    lines = _INVISIBLE.sub("", output.decode(errors="replace").replace("\r\n", "\n").replace("\r", "\n"))
    return lines.strip("\n")


def without_secrets(text: str, secrets: Iterable[str] = ()) -> str:
    """The text with `user:password@` in URLs, and the given secrets, replaced by `****`."""
    for secret in secrets:
        text = text.replace(secret, "****") if secret else text
    return _USERINFO.sub(r"\1****@", text)


@contextlib.contextmanager
def _started(command: Command, stderr: int) -> Iterator[subprocess.Popen[bytes]]:
    """The program as the leader of a session of its own; whatever happens inside, its group is gone afterwards."""
    if len(command.stdin) > STDIN:
        raise ValueError(f"stdin is for secrets and short texts: {len(command.stdin)} bytes are more than {STDIN}")
    process = subprocess.Popen(
        command.argv,
        cwd=command.cwd,
        env=dict(command.env),
        stdin=subprocess.PIPE if command.stdin else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        start_new_session=True,
    )
    try:
        if process.stdin:
            with contextlib.suppress(BrokenPipeError), process.stdin:
                process.stdin.write(command.stdin)
        yield process
    finally:
        _end(process)
        for pipe in (process.stdout, process.stderr):
            if pipe:
                pipe.close()


def _pieces(process: subprocess.Popen[bytes], deadline: float) -> Iterator[tuple[bool, bytes]]:
    """(is it stderr's, bytes) as they come, and empty bytes while it is quiet.

    Ends with the output, at the deadline, or soon after the program where a survivor holds its pipes open.
    """
    with selectors.DefaultSelector() as selector:
        for pipe in (process.stdout, process.stderr):
            if pipe:
                selector.register(pipe, selectors.EVENT_READ, pipe is process.stderr)
        while selector.get_map() and time.monotonic() < deadline:
            ready = selector.select(TICK)
            for key, _ in ready:
                if piece := os.read(key.fd, PIECE):
                    yield key.data, piece
                else:
                    selector.unregister(key.fileobj)
            if not ready:
                yield False, b""
            if process.poll() is not None:
                deadline = min(deadline, time.monotonic() + 3 * TICK)


def _ends(process: subprocess.Popen[bytes], deadline: float) -> bool:
    """Whether the program ends before the deadline."""
    try:
        process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return False
    return True


def _end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM to the group, five seconds of grace for its leader, SIGKILL to whoever is left."""
    if process.poll() is None:
        _signal(process, signal.SIGTERM)
        _ends(process, time.monotonic() + 5)
    _signal(process, signal.SIGKILL)
    process.wait()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: EPERM for a group of zombies
        os.killpg(process.pid, number)


class Batches:
    """Gathers output into batches of lines for people (200 lines or a second), and keeps its end."""

    def __init__(self, say: Say | None) -> None:
        self.say = say
        self.end_of_it = bytearray()
        self.rest = b""
        self.lines: list[str] = []
        self.since = 0.0
        self.room = SHOWN

    def take(self, piece: bytes) -> None:
        self.end_of_it += piece
        del self.end_of_it[:-KEPT]
        if self.say is None or self.room <= 0:
            return
        *lines, self.rest = (self.rest + piece).split(b"\n")
        if len(self.rest) > PIECE:  # a line without an end
            lines, self.rest = [*lines, self.rest], b""
        if lines and not self.lines:
            self.since = time.monotonic()
        self.lines += [visible(line)[:LINE] for line in lines]
        if len(self.lines) >= 200 or (self.lines and time.monotonic() - self.since >= 1):
            self.flush()

    def flush(self) -> None:
        if self.say is None or not self.lines:
            return
        text = "\n".join(self.lines)[: max(self.room, 0)]
        self.lines = []
        self.room -= len(text) + 1
        self.say(text if self.room > 0 else f"{text}\n… more output than {SHOWN:,} characters: only its end is kept")

    def end(self) -> None:
        if self.rest and self.room > 0:
            self.lines.append(visible(self.rest)[:LINE])
        self.flush()

    def kept(self) -> str:
        return visible(bytes(self.end_of_it))
