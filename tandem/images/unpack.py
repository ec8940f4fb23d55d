"""Wheels unpacked as pip would, into a tree that is the same wherever and whenever that is done.

The Binary Distribution Format (PEP 427) is read by `installer`; what is here is where its files may go: a virtual
environment's folders, by the names of sysconfig's "venv" scheme.
"""

import configparser
import csv
import io
import os
import posixpath
import re
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import installer
from installer.destinations import WheelDestination
from installer.exceptions import InstallerError
from installer.records import Hash, InvalidRecordEntry, RecordEntry
from installer.sources import WheelFile
from installer.utils import Scheme, construct_record_file, copyfileobj_with_hashing, fix_shebang

from tandem.errors import BuildFailed

LIBRARIES = ("purelib", "platlib")
SCHEMES = ("scripts", "data", "headers")
RESERVED = re.compile(r"bin/python[0-9.]*|pyvenv\.cfg|requirements\.lock")  # Tandem's, or whoever unpacks the image's

DAMAGED = (
    *(InstallerError, InvalidRecordEntry, zipfile.BadZipFile, zlib.error, csv.Error, configparser.Error),
    *(ValueError, KeyError, AssertionError, EOFError, RuntimeError),  # what `installer` and zipfile let through
)

# A script that finds the python beside it, wherever the tree was moved to: read by sh first, then by python.
LAUNCHER = """/bin/sh
'''exec' "$(dirname "$(realpath "$0")")/python" "$0" "$@"
' '''"""
SCRIPT = """#!{launcher}
import sys
from {module} import {name}
if __name__ == "__main__":
    sys.exit({attribute}())
"""


@dataclass
class Tree(WheelDestination):
    """A virtual environment's folder, being filled. `owners` says which wheel wrote a path last."""

    folder: Path
    python: str  # "3.11"
    wheel: str = ""
    owners: dict[str, str] = field(default_factory=dict)
    replaced: set[tuple[str, str]] = field(default_factory=set)

    @property
    def site(self) -> Path:
        """Its site-packages."""
        return self.folder / "lib" / f"python{self.python}" / "site-packages"

    def unpack(self, wheel: Path) -> None:
        """Add a wheel; what two wheels hold is the later one's, as with pip. Raises BuildFailed for a bad wheel."""
        self.wheel = wheel.name
        try:
            with WheelFile.open(wheel) as source:
                installer.install(source, self, {"INSTALLER": b"tandem\n"})
        except DAMAGED as error:
            raise BuildFailed(f"{wheel.name} is no wheel that can be installed: {error!r}") from None
        except (NotADirectoryError, IsADirectoryError, FileExistsError) as error:
            raise BuildFailed(f"{wheel.name}: {error.filename} is a file in one wheel, a folder in another") from None

    def write_script(self, name: str, module: str, attr: str, section: str) -> RecordEntry:
        """An entry point's script, in bin."""
        first = attr.split(".")[0]
        text = SCRIPT.format(launcher=LAUNCHER, module=module, name=first, attribute=attr)
        return self._copy("scripts", name, io.BytesIO(text.encode()), executable=True)

    def write_file(
        self, scheme: Scheme, path: str | os.PathLike[str], stream: BinaryIO, is_executable: bool
    ) -> RecordEntry:
        """A wheel's file, where its scheme says."""
        if scheme != "scripts":
            return self._copy(scheme, os.fspath(path), stream, is_executable)
        with fix_shebang(stream, LAUNCHER) as fixed:
            return self._copy(scheme, os.fspath(path), fixed, executable=True)

    def finalize_installation(
        self, scheme: Scheme, record_file_path: str, records: Iterable[tuple[Scheme, RecordEntry]]
    ) -> None:
        """RECORD, its paths relative to site-packages."""
        site = self._prefix(scheme)
        prefixes = {each: posixpath.relpath(self._prefix(each), site) + "/" for each in SCHEMES}
        with construct_record_file(records, lambda each: None if each in LIBRARIES else prefixes[each]) as stream:
            self._copy(scheme, record_file_path, stream, executable=False)

    def _prefix(self, scheme: str) -> str:
        """The scheme's folder, relative to the environment's."""
        distribution = self.wheel.split("-")[0]
        site = f"lib/python{self.python}/site-packages"
        headers = f"include/site/python{self.python}/{distribution}"
        return {"scripts": "bin", "data": ".", "headers": headers}.get(scheme, site)

    def _target(self, scheme: str, path: str) -> str:
        """Where a path goes, relative to the environment's folder; refused where that is outside, or ours."""
        hostile = path.startswith("/") or "\\" in path or any(ord(sign) < 32 for sign in path)
        target = posixpath.normpath(posixpath.join(self._prefix(scheme), path))
        if hostile or ".." in path.split("/") or target == "." or RESERVED.fullmatch(target):
            raise BuildFailed(f"{self.wheel} wants to write {path!r} ({scheme}), which no honest wheel does: refused")
        return target

    def _copy(self, scheme: str, path: str, stream: BinaryIO, executable: bool) -> RecordEntry:
        target = self._target(scheme, path)
        if (owner := self.owners.get(target, self.wheel)) != self.wheel:
            self.replaced.add((owner, self.wheel))
        self.owners[target] = self.wheel
        file = self.folder / target
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as written:
            digest, size = copyfileobj_with_hashing(stream, written, "sha256")
        file.chmod(0o755 if executable else 0o644)
        return RecordEntry(path, Hash("sha256", digest), size)
