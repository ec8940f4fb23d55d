"""A systemd of its own, the first process of a namespace: it is booted, and loses its power, as a machine does.

It has the unit of docs/tandem.service and nothing else of this machine's: no other service, an empty /run, and its
own tree of control groups. Network and files are this machine's. `systemctl` reaches it by its private socket.
"""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.end_to_end.service import until

TARGETS = ("sysinit", "basic", "shutdown", "network-online", "multi-user", "default")
BOOT = """
set -e
mount -t tmpfs run /run
mount -t tmpfs groups /sys/fs/cgroup && mkdir /sys/fs/cgroup/systemd
mount -t cgroup -o none,name=systemd systemd /sys/fs/cgroup/systemd 2>/dev/null ||
    { umount /sys/fs/cgroup && mount -t cgroup2 groups /sys/fs/cgroup; }
exec /lib/systemd/systemd --system --log-target=console
"""


@dataclass
class Systemd:
    """`units` is its folder of units, `log` what it says."""

    units: Path
    log: Path
    booted: subprocess.Popen[bytes] | None = None

    def boot(self) -> None:
        """What is enabled is started, by nobody's hand."""
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "SYSTEMD_UNIT_PATH": str(self.units), "container": "test"}
        apart = ["unshare", "--fork", "--kill-child", "--pid", "--mount", "--mount-proc", "--cgroup"]
        with self.log.open("ab") as log:
            self.booted = subprocess.Popen([*apart, "bash", "-c", BOOT], env=env, stdout=log, stderr=log)
        until(lambda: self._ask("is-system-running").stdout.strip() in ("running", "degraded", "starting"), 60)

    def cut_the_power(self) -> None:
        """Every process of it is gone in the same moment."""
        if self.booted and self.booted.poll() is None:
            self.booted.kill()  # and the first process with it, by --kill-child, and all others with that
            self.booted.wait(60)

    def systemctl(self, *words: str) -> str:
        """What it said."""
        done = self._ask(*words)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}\n{self.log.read_text()[-3000:]}"
        return done.stdout.strip()

    def shown(self, name: str) -> str:
        """A property of tandem.service."""
        return self.systemctl("show", "tandem", "--property", name, "--value")

    def _ask(self, *words: str) -> subprocess.CompletedProcess[str]:
        assert self.booted
        outer = Path(f"/proc/{self.booted.pid}/task/{self.booted.pid}/children")
        inner = outer.read_text().split()
        into = ["nsenter", "--target", inner[0] if inner else "0", "--pid", "--mount", "--cgroup"]
        argv = [*into, "systemctl", "--no-pager", *words]
        return subprocess.run(argv, capture_output=True, text=True, check=False)


def unit(page: Path, changes: Mapping[str, str]) -> str:
    """The unit of docs/, with the user and the folders that its first lines ask for put in."""
    text = page.read_text()
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    return text


@contextmanager
def systemd(folder: Path, tandem: str) -> Iterator[Systemd]:
    """One with this unit enabled, not yet booted; nothing of it is left."""
    units = folder / "units"
    (units / "multi-user.target.wants").mkdir(parents=True)
    for name in TARGETS:
        wants = "Requires=multi-user.target\nAfter=multi-user.target\n" if name == "default" else ""
        (units / f"{name}.target").write_text(f"[Unit]\nDescription={name}\nDefaultDependencies=no\n{wants}")
    (units / "tandem.service").write_text(tandem)
    (units / "multi-user.target.wants" / "tandem.service").symlink_to("../tandem.service")
    made = Systemd(units, folder / "boot.log")
    try:
        yield made
    finally:
        made.cut_the_power()
