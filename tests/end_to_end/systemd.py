"""A systemd of its own, the first process of a namespace: it is booted, and all of it killed at once.

It has the unit of docs/tandem.service and nothing else of this machine's: no other service, an empty /run, a tree of
control groups of its own, and the kernel's settings to read only. Network and files are this machine's. `systemctl`
reaches it by its private socket.
"""

import os
import pty
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.end_to_end.service import until

TARGETS = ("sysinit", "basic", "shutdown", "network-online", "multi-user", "default")
APART = ("unshare", "--fork", "--kill-child", "--pid", "--mount", "--mount-proc", "--cgroup", "--uts", "--ipc")
BOOT = """
set -e
mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys
mount --bind "$CONSOLE" /dev/console
mount --bind "$MACHINE_ID" /etc/machine-id
unset CONSOLE MACHINE_ID
kind=$(stat -f -c %T /sys/fs/cgroup)
mount -t tmpfs run /run
mount -t tmpfs groups /sys/fs/cgroup
if [ "$kind" = cgroup2fs ]; then
    umount /sys/fs/cgroup && mount -t cgroup2 groups /sys/fs/cgroup
else
    mkdir /sys/fs/cgroup/systemd && mount -t cgroup -o none,name=systemd systemd /sys/fs/cgroup/systemd
fi
exec /lib/systemd/systemd --system --log-target=console
"""


@dataclass
class Systemd:
    """`units` is its folder of units, `log` what its console shows, `group` the control group it is the root of."""

    units: Path
    log: Path
    group: Path
    booted: subprocess.Popen[bytes] | None = None

    def boot(self) -> None:
        """What is enabled is started, by nobody's hand."""
        shown, console = pty.openpty()
        identity = self.units.with_name("machine-id")
        identity.write_text(f"{os.urandom(16).hex()}\n")
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "SYSTEMD_UNIT_PATH": str(self.units), "container": "test"}
        env |= {"CONSOLE": os.ttyname(console), "MACHINE_ID": str(identity)}
        enter = f'echo $$ > "{self.group}/cgroup.procs"; exec setpriv --pdeathsig KILL "$@"'  # it ends with the tests
        with self.log.open("ab") as log:
            argv = ["bash", "-ec", enter, "bash", *APART, "bash", "-c", BOOT]
            self.booted = subprocess.Popen(argv, env=env, stdout=log, stderr=log)
        threading.Thread(target=self._read, args=(shown, console), daemon=True).start()
        until(lambda: self._ask("is-system-running").stdout.strip() in ("running", "degraded"), 120, self.said)

    def kill(self) -> None:
        """Every process of it is gone in the same moment."""
        if self.booted and self.booted.poll() is None:
            self.booted.kill()  # and the first process with it, by --kill-child, and all others with that
            self.booted.wait(60)

    def said(self) -> str:
        """The end of what its console showed."""
        return self.log.read_text(errors="replace")[-3000:]

    def systemctl(self, *words: str) -> str:
        """What it said."""
        done = self._ask(*words)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}\n{self.said()}"
        return done.stdout.strip()

    def shown(self, name: str) -> str:
        """A property of tandem.service."""
        return self.systemctl("show", "tandem", "--property", name, "--value")

    def _ask(self, *words: str) -> subprocess.CompletedProcess[str]:
        assert self.booted and self.booted.poll() is None, f"it did not boot: {self.said()}"
        inner = Path(f"/proc/{self.booted.pid}/task/{self.booted.pid}/children").read_text().split()
        if not inner or Path(f"/proc/{inner[0]}/comm").read_text() != "systemd\n":
            return subprocess.CompletedProcess(words, 1, "", "it is not there yet")
        into = ["nsenter", "--target", inner[0], "--pid", "--mount", "--cgroup"]
        return subprocess.run([*into, "systemctl", "--no-pager", *words], capture_output=True, text=True, check=False)

    def _read(self, shown: int, console: int) -> None:
        """The other end of its console, as long as anybody has it."""
        with self.log.open("ab") as log, suppress(OSError):
            while piece := os.read(shown, 4096):
                log.write(piece)
                log.flush()
        os.close(console)


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
    groups = Path("/sys/fs/cgroup")
    group = (groups / "systemd" if (groups / "systemd").is_dir() else groups) / f"tandem-{os.getpid()}"
    group.mkdir()
    made = Systemd(units, folder / "boot.log", group)
    try:
        yield made
    finally:
        made.kill()
        until(lambda: _removed(group), 60)


def _removed(group: Path) -> bool:
    for each in sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True):
        with suppress(OSError):
            each.rmdir()
    with suppress(OSError):  # its last process may be ending
        group.rmdir()
    return not group.exists()
