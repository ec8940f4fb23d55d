"""bubblewrap's argv, as a pure function: the system to read, scratch to write, own process ids, no home, no secrets.

The network stays: suites talk to services, and pip to its index. What the machine offers over it (a cloud's metadata
address, Prefect's API on loopback) can be reached; docs/source-and-tests.md says what to do about that.
"""

import os
import shutil
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tandem.run import Command, run

# What programs need of a system. /etc by name: the rest of it may hold secrets, and root may read all of it.
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/nix/store", "/gnu/store")
ETC = (
    *("alternatives", "ca-certificates", "fonts", "gai.conf", "group", "host.conf", "hosts", "ld.so.cache"),
    *("ld.so.conf", "ld.so.conf.d", "localtime", "locale.alias", "magic", "mime.types", "nsswitch.conf", "os-release"),
    *("passwd", "pki", "protocols", "resolv.conf", "services", "ssl/certs", "ssl/openssl.cnf", "timezone"),
)
TEMPORARY = str(Path("/").joinpath("tmp"))  # the sandbox's own
SUPERVISOR = Path(__file__).with_name("supervise.py")
PROCESSES = 2000  # that a suite may start, beyond those that the user has already


@dataclass(frozen=True)
class View:
    """What a confined program sees beyond the system, every path at its own place; and its /tmp and home."""

    cwd: Path
    temporary: Path  # becomes /tmp in the sandbox
    home: Path
    readable: tuple[Path, ...] = ()
    writable: tuple[Path, ...] = ()


def bubblewrap(surroundings: Mapping[str, str]) -> str | None:
    """The path of a bubblewrap that works here, or None: containers often forbid what it needs."""
    path = shutil.which("bwrap", path=surroundings.get("PATH", os.defpath))
    if path is None or sys.platform != "linux":
        return None
    tried = Command(
        (path, *_walls(("--tmpfs", TEMPORARY), ()), "--", "/bin/true"), {"PATH": os.defpath}, "/", time_limit=60
    )
    return path if run(tried).code == 0 else None


def supervised(argv: Iterable[str], limit: float, parent: int, processes: int = 0) -> tuple[str, ...]:
    """The command below the supervisor, which ends it at `limit` seconds and leaves nothing behind."""
    python = interpreter()
    return (str(python), "-I", "-S", str(SUPERVISOR), f"{limit:g}", str(parent), str(processes), *argv)


def confined(bwrap: str, argv: Iterable[str], view: View) -> tuple[str, ...]:
    """The command in a sandbox. What is writable is named last, so that it shows through what is readable."""
    readable = (*interpreter_folders(), SUPERVISOR, *view.readable)
    writable = (view.home, *view.writable)
    return (
        bwrap,
        *_walls(("--bind", str(view.temporary), TEMPORARY), readable),  # first: other paths may lie below it
        *(word for path in writable for word in ("--bind", str(path), str(path))),
        *("--remount-ro", "/", "--chdir", str(view.cwd), "--"),
        *argv,
    )


def _walls(temporary: tuple[str, ...], readable: Iterable[Path]) -> tuple[str, ...]:
    named = [*SYSTEM, *(f"/etc/{name}" for name in ETC), "/sys/devices/system/cpu"]
    shown = [(os.path.realpath(path), path) for path in named if Path(path).exists()]
    shown += [(os.path.realpath(path), str(path)) for path in readable if path.exists()]
    return (
        *("--unshare-user-try", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"),
        *("--cap-drop", "ALL", "--die-with-parent", "--as-pid-1"),
        *("--proc", "/proc", "--dev", "/dev"),
        *temporary,
        *(word for source, path in shown for word in ("--ro-bind", source, path)),
    )


def interpreter() -> Path:
    """The Python that virtual environments are made from: this one's, without its own virtual environment."""
    named = Path(sys.base_prefix) / "bin" / f"python{sysconfig.get_python_version()}"
    return named if named.exists() else Path(os.path.realpath(sys.executable))


def interpreter_folders() -> tuple[Path, ...]:
    """Where that Python lies: its prefix as it is named and as it is, outside the system's own folders."""
    real = Path(os.path.realpath(interpreter())).parent.parent
    folders = dict.fromkeys((Path(sys.base_prefix), Path(sys.base_exec_prefix), real))
    return tuple(folder for folder in folders if str(folder) not in ("/usr", "/", "/usr/local"))


def processes_allowed(proc: Path = Path("/proc")) -> int:
    """How many processes and threads the user may have while a suite runs; 0 where that cannot be said (macOS)."""
    count = 0
    for folder in proc.glob("[0-9]*/task"):
        try:
            count += sum(1 for _ in folder.iterdir()) if folder.stat().st_uid == os.getuid() else 0
        except OSError:  # it has ended meanwhile
            continue
    return count + PROCESSES if count else 0
