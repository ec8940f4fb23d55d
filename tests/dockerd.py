"""A Docker daemon for whoever is connected to FOLDER/users; it goes with the last of them, killed ones counted.

python tests/dockerd.py FOLDER: the daemon listens on FOLDER/docker.sock, and everything of it is in FOLDER. It has
a bridge of its own and touches no firewall: ports published on 127.0.0.1 work, containers reach no other network.
FOLDER must be short: names of sockets end at 108 characters.
"""

import contextlib
import random
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

PATIENCE = 150.0  # seconds until the daemon answers, and until its first user comes


def main(folder: Path) -> None:
    (folder / "cwd").mkdir()
    try:
        with _bridge() as bridge, _daemon(folder, bridge):
            last = _serve(folder)
    finally:
        for line in reversed(Path("/proc/mounts").read_text().splitlines()):
            if (mounted := line.split()[1]).startswith(f"{folder}/"):
                subprocess.run(["umount", "--lazy", mounted])
        shutil.rmtree(folder)
    last.close()


@contextlib.contextmanager
def _bridge() -> Iterator[str]:
    name = f"tandem{random.randrange(16**8):08x}"
    taken = subprocess.run(["ip", "-4", "address"], capture_output=True, text=True, check=True).stdout
    subnet = next(each for each in random.sample(range(1, 255), 254) if f"10.213.{each}." not in taken)
    subprocess.run(["ip", "link", "add", "name", name, "type", "bridge"], check=True)
    try:
        subprocess.run(["ip", "address", "add", f"10.213.{subnet}.1/24", "dev", name], check=True)
        subprocess.run(["ip", "link", "set", name, "up"], check=True)
        yield name
    finally:
        subprocess.run(["ip", "link", "delete", name])


@contextlib.contextmanager
def _daemon(folder: Path, bridge: str) -> Iterator[None]:
    argv = ["dockerd", "--host", f"unix://{folder}/docker.sock", "--data-root", folder / "d", "--exec-root"]
    argv += [folder / "x", "--pidfile", folder / "pid", "--bridge", bridge, "--iptables=false", "--ip6tables=false"]
    daemon = subprocess.Popen([*argv, "--log-level", "warn"], cwd=folder / "cwd")
    docker = ["docker", "--host", f"unix://{folder}/docker.sock"]
    try:
        deadline = time.monotonic() + PATIENCE
        while subprocess.run([*docker, "version"], capture_output=True).returncode:
            if daemon.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"dockerd did not come up within {PATIENCE:.0f} s, or ended: {daemon.poll()}")
            time.sleep(0.1)
        yield
    finally:
        if daemon.poll() is None:
            left = subprocess.run([*docker, "ps", "--quiet", "--all"], capture_output=True, text=True).stdout.split()
            if left:
                subprocess.run([*docker, "rm", "--force", *left], capture_output=True)
        daemon.send_signal(signal.SIGTERM)
        try:
            daemon.wait(30)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()


def _serve(folder: Path) -> socket.socket:
    """Until the last connection is ended from its other side; it is given back, to be closed when all is gone."""
    users: set[socket.socket] = set()
    with socket.socket(socket.AF_UNIX) as listener, selectors.DefaultSelector() as selector:
        listener.bind(str(folder / "users"))
        listener.listen()
        selector.register(listener, selectors.EVENT_READ)
        while ready := selector.select(None if users else PATIENCE):
            for key, _ in ready:
                if key.fileobj is listener:
                    user, _ = listener.accept()
                    user.sendall(b"ready\n")
                    users.add(user)
                    selector.register(user, selectors.EVENT_READ)
                    continue
                user = next(each for each in users if each is key.fileobj)
                selector.unregister(user)
                users.remove(user)
                if not users:
                    return user
                user.close()
    sys.exit(f"nobody came within {PATIENCE:.0f} s")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))
    main(Path(sys.argv[1]))
