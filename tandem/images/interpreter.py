"""The Python that an image's packages are for: which wheels fit it, and which markers hold for it."""

import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass

MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
LEGACY = {(2, 17): "manylinux2014", (2, 12): "manylinux2010", (2, 5): "manylinux1"}
OLDEST = {"x86_64": 5, "aarch64": 17}  # the first glibc 2.N that wheels were made for (PEP 513, PEP 599)


@dataclass(frozen=True)
class Interpreter:
    """A CPython on a platform. `version` is whole ("3.11.7"), `machine` as `uname -m` says it there.

    `libc` is ("glibc", 2, 36) or ("musl", 1, 2); for another system it is its name and version. `host` says that
    it is this machine's own: pip then knows better than we do which wheels fit.
    """

    version: str
    system: str
    machine: str
    libc: tuple[str, int, int]
    host: bool = False

    @property
    def minor(self) -> str:
        """`3.11`."""
        return ".".join(self.version.split(".")[:2])

    @property
    def tag(self) -> str:
        """`cpython-3.11-linux-x86_64`: images for the same tag can run on the same interpreter."""
        return f"cpython-{self.minor}-{self.system}-{self.machine}"

    @property
    def identity(self) -> str:
        """The tag and the C library, which decides among wheels: `cpython-3.11-linux-x86_64 glibc2.36`."""
        name, major, minor = self.libc
        return f"{self.tag} {name}{major}.{minor}"

    @property
    def architecture(self) -> str:
        """As image configs call the machine: `amd64`, `arm64`."""
        return ARCHITECTURES.get(self.machine, self.machine)

    def compatible(self) -> bool:
        """Whether this process's interpreter compiles byte code for it, and evaluates markers as it would."""
        own = this_interpreter()
        return (self.minor, self.system, self.machine) == (own.minor, own.system, own.machine)

    def platforms(self) -> list[str]:
        """pip's platform tags of the wheels that run there, best first (PEP 600, PEP 656)."""
        name, major, newest = self.libc
        if name == "musl":
            return [*(f"musllinux_{major}_{minor}_{self.machine}" for minor in range(newest, 0, -1)), self._linux]
        tags: list[str] = []
        for minor in range(newest, OLDEST.get(self.machine, 17) - 1, -1):
            tags.append(f"manylinux_{major}_{minor}_{self.machine}")
            if legacy := LEGACY.get((major, minor)):
                tags.append(f"{legacy}_{self.machine}")
        return [*tags, self._linux]

    @property
    def _linux(self) -> str:
        return f"linux_{self.machine}"

    def markers(self) -> dict[str, str]:
        """What environment markers (PEP 508) are evaluated against."""
        darwin = self.system == "darwin"
        return {
            "implementation_name": "cpython",
            "implementation_version": self.version,
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_release": platform.release() if self.host else "",
            "platform_system": "Darwin" if darwin else "Linux",
            "platform_version": platform.version() if self.host else "",
            "python_full_version": self.version,
            "python_version": self.minor,
            "sys_platform": self.system,
        }


@dataclass(frozen=True)
class Inhabitant:
    """The Python that an image holds: its path in there, what it is, and its packages' versions by name."""

    path: str
    interpreter: Interpreter
    packages: Mapping[str, str]


def this_interpreter() -> Interpreter:
    """The one that runs this: what an image with `base = "none"` is made for."""
    return Interpreter(platform.python_version().rstrip("+"), sys.platform, platform.machine(), _libc(), host=True)


def _libc() -> tuple[str, int, int]:
    if sys.platform == "darwin":
        return ("macos", *_two(platform.mac_ver()[0]))
    try:
        name, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").split()
    except (ValueError, OSError):
        return ("musl", 1, 2)
    return (name, *_two(version))


def _two(version: str) -> tuple[int, int]:
    major, minor = (*version.split("."), "0")[:2]
    return int(major), int(minor)
