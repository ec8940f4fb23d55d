"""The protobuf wire format, walked strictly along a message descriptor in constant memory.

Source: protobuf.dev/programming-guides/encoding. Refused beyond what parsers refuse: unknown fields and enum values,
groups, numbers that are longer than needed, a single field that comes twice.
"""

import re
from dataclasses import dataclass, field
from functools import lru_cache

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from tandem.models.formats.window import Step, Unfit, Window

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
DEEPEST = 100  # protobuf's own limit on messages within messages
LONGEST_TEXT = 64 << 10  # of the fields that are listened to

_FIXED = {FieldDescriptor.TYPE_DOUBLE: FIXED64, FieldDescriptor.TYPE_FLOAT: FIXED32}
_LENGTH = {FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES, FieldDescriptor.TYPE_MESSAGE}
WIDTH = {FIXED64: 8, FIXED32: 4}
_WRONG = re.compile(rb"[\x80-\xff]{9}[^\x01]|[\x80-\xff]\x00")  # more than 64 bits, or padded with zeros
_VALUES = {
    VARINT: rb"[\x00-\x7f]|[\x80-\xff]{1,8}[\x01-\x7f]|[\x80-\xff]{9}\x01",
    FIXED64: rb".{8}",
    FIXED32: rb".{4}",
    LENGTH: b"|".join(re.escape(bytes([length])) + b".{%d}" % length for length in range(32)),  # short texts
}


@dataclass(frozen=True)
class Field:
    """What the walker must know of a field; `run` matches many of its values at once, tags and all."""

    name: str
    number: int
    wire: int
    repeated: bool
    message: Descriptor | None
    values: frozenset[int] | None
    run: re.Pattern[bytes] | None


@dataclass
class Open:
    """A message that has begun: its descriptor, where it ends (None: with the file), and what came in it."""

    kind: Descriptor
    end: int | None
    path: str
    seen: set[int] = field(default_factory=set)
    texts: dict[str, str] = field(default_factory=dict)


@lru_cache(maxsize=256)
def fields_of(kind: Descriptor) -> dict[int, Field]:
    """The message's fields by number."""
    return {each.number: _field(each) for each in kind.fields}


def _field(each: FieldDescriptor) -> Field:
    wire = LENGTH if each.type in _LENGTH else _FIXED.get(each.type, VARINT)
    values = frozenset(each.enum_type.values_by_number) if each.enum_type is not None else None
    run = None
    if each.is_repeated and each.message_type is None and values is None:
        tag = re.escape(_encoded(each.number << 3 | wire))
        run = re.compile(rb"(?:%b(?:%b))*+" % (tag, _VALUES[wire]), re.DOTALL)
    return Field(each.name, each.number, wire, each.is_repeated, each.message_type, values, run)


def _encoded(value: int) -> bytes:
    content = bytearray()
    while value > 0x7F:
        content.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*content, value])


def varint(window: Window) -> Step[int]:
    """The next varint, 64 bits at most and no longer than it needs to be."""
    value = shift = 0
    while True:
        if window.at < len(window.data):
            byte = window.data[window.at]
            window.at += 1
        else:
            byte = (yield from window.take(1))[0]
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
        if shift == 70:
            raise Unfit(f"a number that never ends at byte {window.position}")
    if shift == 70 and byte > 1:
        raise Unfit(f"a number of more than 64 bits before byte {window.position}")
    if byte == 0 and shift > 7:
        raise Unfit(f"a number padded with zeros before byte {window.position}")
    return value


def packed(window: Window, length: int, wire: int) -> Step[None]:
    """Lets a packed run of numbers pass: whole ones, as long as `length` says."""
    if wire in WIDTH:
        if length % WIDTH[wire]:
            raise Unfit(f"{length} bytes of {WIDTH[wire]}-byte numbers at byte {window.position}")
        yield from window.skip(length)
        return
    tail = b""
    while length:
        piece = yield from window.take(min(length, window.left or 1))
        length -= len(piece)
        if _WRONG.search(tail + piece):
            raise Unfit(f"a number that never ends, or is padded with zeros, before byte {window.position}")
        tail = (tail + piece)[-9:]
    if tail and tail[-1] >= 0x80:
        raise Unfit(f"a number cut off at byte {window.position}")
