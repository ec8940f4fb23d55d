"""The logs of what `tandem up` started, in one folder, of bounded size."""

import shutil
from pathlib import Path

LIMIT = 10 << 20  # bytes of each file; as much again of what was before


def bound(root: Path, limit: int = LIMIT) -> None:
    """Begin each log that grew beyond the limit anew, and keep what it held as NAME.log.1.

    Its writer goes on with the same file, which it opened to append. A line written in this moment may be lost.
    """
    for file in (root / ".tandem" / "log").glob("*.log"):
        if file.stat().st_size > limit:
            shutil.copyfile(file, file.with_name(f"{file.name}.1"))
            with file.open("r+b") as log:
                log.truncate()
