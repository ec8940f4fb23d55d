"""What Prefect's worker starts for a flow run: asks the warm template for a process, and stands for it until it ends.

Run as a file by an isolated interpreter (-I -S), which starts in 10 ms: standard library only. Where no template
answers, it becomes `python -m prefect.engine`: a cold start, as Prefect's own worker makes.
"""

import os
import signal
import socket
import sys
from contextlib import suppress

PATIENCE = 5.0  # seconds for the template to take the request


def request() -> bytes:
    """The working directory and the environment that the run gets, with the length before them."""
    here = os.getcwdb()  # noqa: PTH109 (importing pathlib takes as long as the interpreter's start)
    body = b"\0".join([here, *(name + b"=" + value for name, value in os.environb.items())])
    return len(body).to_bytes(4, "big") + body


def ask(folder: str) -> socket.socket | None:
    """A connection to the template that took the request; None where there is none, or it is not for this run."""
    if not folder:
        return None
    template = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    template.settimeout(PATIENCE)
    try:
        template.connect(f"{folder}/current")
        template.sendall(request())
        taken = template.recv(1) == b"w"
        if taken:
            template.sendall(b"g")  # without this it does not fork: whoever gave up here starts cold, and alone
    except OSError:
        taken = False
    if taken:
        template.settimeout(None)
        return template
    template.close()
    return None


def stand_for_it(template: socket.socket) -> int:
    """Wait for the run's end, hand signals on; its exit status, negative for a signal, as subprocess has it."""

    def hand_on(number: int, _: object) -> None:
        with suppress(OSError):
            template.sendall(bytes([number]))

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, hand_on)
    pid, status = _number(template), None
    if pid:
        status = _number(template)
    if status is None:  # the template is gone, and its runs with it: the kernel's part on Linux, ours elsewhere
        if pid:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
        return -signal.SIGKILL
    return status


def _number(template: socket.socket) -> int | None:
    """The next number that the template sends; None where the connection ended."""
    got = b""
    while len(got) < 4:
        try:
            piece = template.recv(4 - len(got))
        except OSError:
            return None
        if not piece:
            return None
        got += piece
    return int.from_bytes(got, "big", signed=True)


def main() -> None:
    with suppress(PermissionError):
        os.setsid()  # what ends the worker's group does not end its runs
    template = ask(os.environ.get("TANDEM_TEMPLATE", ""))
    if template is None:
        sys.stderr.write("no warm template for this run: a cold start\n")
        sys.stderr.flush()
        os.execv(sys.executable, [sys.executable, "-m", "prefect.engine"])  # noqa: S606
    status = stand_for_it(template)
    if status < 0:
        with suppress(OSError):  # SIGKILL's disposition cannot be set, and need not be
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)


if __name__ == "__main__":
    main()
