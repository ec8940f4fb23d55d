"""A file that is also a pickle: the unpickler's steps are followed, with kinds of values in place of values.

What matters is whether an unpickler would come to a call: it works byte by byte from the beginning, so that whatever
comes later is too late. Labels such as "cat", "dog", "ape" are imports to it, and even a call.
Source: the opcode table of the standard library's pickletools.
"""

import io
import pickletools
import re
from collections.abc import Iterator

from tandem.models.formats.window import Check, Step, Unfit, Window

OPCODES = {opcode.code.encode("latin-1"): opcode for opcode in pickletools.opcodes}
MOST = 1_000_000  # opcodes: what goes on for longer is a pickle
LONGEST_LINE = 64 << 10
SIZES = {"-2": 1, "-3": 4, "-4": 4, "-5": 8}  # bytes of the length that stands before an argument
MODULE_AND_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)* [^\W\d]\w*(\.[^\W\d]\w*)*")
QUOTED = re.compile(rb"""\s*(["']).*\1\s*""")
TEXTS = {"str", "bytes_or_str"}
IMPORTS = {"GLOBAL", "STACK_GLOBAL", "EXT1", "EXT2", "EXT4"}
CALLS = {"REDUCE", "BUILD", "NEWOBJ", "NEWOBJ_EX", "APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS"}


class _Stops(Exception):
    """An unpickler would give up here."""


def check() -> Check:
    """Passes a file that would make no unpickler call anything; returns as soon as that is known."""
    return _check(_Machine(harmless=frozenset()))


def check_text() -> Check:
    """The same for a text, in which imports that only meet each other are the names of animals."""
    return _check(_Machine(harmless=frozenset(["import"])))


def _check(machine: "_Machine") -> Check:
    window = Window()
    for _ in range(MOST):
        try:
            code = yield from window.take(1)
            opcode = OPCODES.get(code)
            if opcode is None:
                return
            calls = machine.step(opcode, (yield from _argument(window, opcode)))
        except (_Stops, Unfit):
            return
        if calls:
            break
    raise Unfit("it is also a pickle: unpickling it would run code")


def _argument(window: Window, opcode: pickletools.OpcodeInfo) -> Step[object]:
    if opcode.arg is None:
        return None
    if opcode.arg.n > 0:
        return _read(opcode.arg, (yield from window.take(opcode.arg.n)))
    if opcode.arg.n == -1:
        lines = 2 if opcode.arg.name == "stringnl_noescape_pair" else 1
        content = b""
        for _ in range(lines):
            content += yield from _line(window)
        return _read(opcode.arg, content) if len(content) < LONGEST_LINE else None
    size = int.from_bytes((yield from window.take(SIZES[str(opcode.arg.n)])), "little")
    yield from window.skip(size)
    return None


def _line(window: Window) -> Step[bytes]:
    """Up to and with the next newline; of a very long one only the beginning."""
    line = b""
    while True:
        end = window.data.find(b"\n", window.at) + 1
        part = window.data[window.at : end or len(window.data)]
        line += part[: LONGEST_LINE - len(line)]
        window.at += len(part)
        if end:
            return line
        if not (yield from window.fill(1)):
            raise _Stops


def _read(argument: pickletools.ArgumentDescriptor, content: bytes) -> object:
    """The argument where it matters: memo numbers, names; and _Stops where an unpickler could not read it."""
    if argument.name in ("stringnl", "stringnl_noescape"):
        return None if QUOTED.fullmatch(content) or argument.name == "stringnl_noescape" else _stop()
    try:
        if argument.name == "stringnl_noescape_pair":
            return " ".join(content.decode().splitlines())
        return argument.reader(io.BytesIO(content))
    except ValueError:
        raise _Stops from None


class _Machine:
    """The unpickler's stack and memo, holding kinds."""

    def __init__(self, harmless: frozenset[str]) -> None:
        self.harmless = harmless  # a call with nothing but these is none
        self.stack: list[str] = []
        self.memo: dict[object, str] = {}

    def step(self, opcode: pickletools.OpcodeInfo, argument: object) -> bool:
        """One opcode; whether it calls something that was imported. Raises _Stops."""
        name = opcode.name
        if name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            self.memo[len(self.memo) if name == "MEMOIZE" else argument] = self._top()
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            self.stack.append(self.memo.get(argument) or _stop())
        elif name == "DUP":
            self.stack.append(self._top())
        elif name == "POP":
            self.stack.pop() if self.stack else _stop()
        elif name == "STOP":
            self.stack.clear()  # another pickle may follow, and readers that go on
            self.memo.clear()
        else:
            return self._other(opcode, argument)
        return False

    def _other(self, opcode: pickletools.OpcodeInfo, argument: object) -> bool:
        kinds = list(self._popped([kind.name for kind in opcode.stack_before]))
        if opcode.name == "STACK_GLOBAL" and not TEXTS.issuperset(kinds):
            raise _Stops
        if opcode.name in ("GLOBAL", "INST") and not MODULE_AND_NAME.fullmatch(str(argument)):
            raise _Stops
        self.stack += ["import"] if opcode.name in IMPORTS else [kind.name for kind in opcode.stack_after]
        if opcode.name in ("INST", "OBJ"):
            return opcode.name == "INST" or kinds[:1] == ["import"]
        return opcode.name in CALLS and kinds[0] == "import" and set(kinds) != self.harmless

    def _popped(self, before: list[str]) -> Iterator[str]:
        """What the opcode takes, lowest first; `stackslice` stands for all above the last mark."""
        above: list[str] = []
        if "mark" in before:
            if "mark" not in self.stack:
                raise _Stops
            while (kind := self.stack.pop()) != "mark":
                above.insert(0, kind)
            before = before[: before.index("mark")]
        taken = [self._pop() for _ in before]
        return iter([*reversed(taken), *above])

    def _top(self) -> str:
        return self.stack[-1] if self.stack and self.stack[-1] != "mark" else _stop()

    def _pop(self) -> str:
        kind = self._top()
        self.stack.pop()
        return kind


def _stop() -> str:
    raise _Stops
