"""The holder: one small process per environment that owns its address and outlives flows and worker.

    python -m tandem.targets.holder FOLDER HOST:PORT

It starts versions, leads users from one to the next and restarts what dies. FOLDER/holder.json says what it does,
for those who come after it was killed; a lock on FOLDER/holder.lock, that it lives. It imports nothing heavy.
"""

import fcntl
import json
import os
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path

from tandem.targets import launch, wire
from tandem.targets.holding import LIMIT, Holding
from tandem.targets.steering import take

ANOTHER_LIVES = 3


def main(folder: Path, asked: str) -> int:
    """Become a process of its own once requests are answered, so that 0 means: ready.

    3 where another holder lives, 1 (and a line on standard error) where the address cannot be had.
    """
    lock = os.open(folder / "holder.lock", os.O_RDWR | os.O_CREAT, 0o644)  # let go of by the process' end, not before
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return ANOTHER_LIVES
    (folder / "lives").mkdir(exist_ok=True)
    end_orphans(folder)
    host, _, port = asked.rpartition(":")
    try:
        door = take(host.strip("[]"), int(port))
        control = wire.listen(wire.socket_path(folder))
    except OSError as error:
        sys.stderr.write(f"{asked}: {error.strerror or error}\n")
        return 1
    if os.fork():
        os._exit(0)
    os.setsid()
    holding = Holding(folder, asked, door)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=holding.stop, args=(True,)).start())
    threading.Thread(target=wire.serve, args=(control, holding.answer, holding.left), daemon=True).start()
    holding.tend()
    return 0


def end_orphans(folder: Path) -> None:
    """End what a holder that was killed has left running."""
    with suppress(FileNotFoundError, ValueError):
        for app in json.loads((folder / "holder.json").read_text())["apps"]:
            launch.end_orphan(app["pid"], Path(app["life"]), LIMIT)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
