"""Inside a network namespace of its own: what comes over an inherited socket goes to the port that the app binds.

    python -m tandem.targets.inside DESCRIPTOR PORT PROGRAM [ARGUMENT…]

The socket listens outside, where it was made; the app takes this process's place.
"""

import os
import signal
import socket
import sys

from tandem.targets.forward import Forwarder


def main(descriptor: int, port: int, argv: list[str]) -> None:
    """Forward in a child, and become the app."""
    if os.fork() == 0:
        listening = socket.socket(fileno=descriptor)
        Forwarder(lambda: ("127.0.0.1", port)).serve(listening)
        signal.pause()
    os.close(descriptor)
    os.execvp(argv[0], argv)  # noqa: S606


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
