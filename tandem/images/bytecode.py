"""Byte code beside every module of a tree; run as a program of its own: `python -I bytecode.py FOLDER PART PARTS`.

Layers have one fixed mtime, which makes timestamp-checked .pyc stale, and whoever runs the image cannot write new
ones: so they are unchecked hash-based (PEP 552), as the image's files never change. Bit-for-bit: marshal's format 2
holds no references, so what else this process interned leaves no trace; the path within is relative and is replaced
at import. Python 3.14 needs a newer format for slices: there each file's bytes depend on the interpreter's build.
"""

import importlib.util
import marshal
import sys
import warnings
from pathlib import Path
from types import CodeType


def compile_tree(folder: Path, part: int = 0, parts: int = 1) -> int:
    """Write `__pycache__/NAME.cpython-XY.pyc` for each .py below the folder; how many. Skips what does not compile.

    Of `parts` processes that share the work, this is number `part`.
    """
    written = 0
    for file in sorted(folder.rglob("*.py"))[part::parts]:
        source = file.read_bytes()
        try:
            code = compile(source, file.relative_to(folder).as_posix(), "exec", dont_inherit=True, optimize=0)
            content = _marshalled(code)
        except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
            continue  # as pip does: templates and code for other versions
        target = Path(importlib.util.cache_from_source(str(file), optimization=""))
        target.parent.mkdir(exist_ok=True)
        flags = (0b01).to_bytes(4, "little")
        target.write_bytes(importlib.util.MAGIC_NUMBER + flags + importlib.util.source_hash(source) + content)
        written += 1
    return written


def _marshalled(code: CodeType) -> bytes:
    try:
        return marshal.dumps(code, 2)
    except ValueError:
        return marshal.dumps(code)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    compile_tree(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
