"""ONNX: every byte accounted for by the message descriptors of the `onnx` package.

Weights in other files (TensorProto.external_data, onnx.proto) are named as plain paths inside the same model.
"""

import re
from collections.abc import Callable

from tandem.models.formats.window import Check, Step, Unfit, Window
from tandem.models.formats.wire import (
    DEEPEST,
    LENGTH,
    LONGEST_TEXT,
    VARINT,
    WIDTH,
    Field,
    Open,
    fields_of,
    packed,
    varint,
)

EXTERNAL = "TensorProto.external_data"
PAIR = ("key", "value")


def check(location: Callable[[str], None]) -> Check:
    """Passes one ONNX file; calls `location` with the name of each file that it keeps weights in."""
    from onnx import ModelProto  # half a second, for those only who look at a model

    window = Window()
    stack = [Open(ModelProto.DESCRIPTOR, None, "ModelProto")]
    while stack:
        message = stack[-1]
        if message.end is not None and window.position == message.end:
            _close(stack.pop(), location)
        elif window.left or (yield from window.fill(1)):
            yield from _field(window, stack)
        elif message.end is None:
            _close(stack.pop(), location)
        else:
            raise Unfit(f"it ends at byte {window.position} in the middle of a {message.kind.name}")


def _field(window: Window, stack: list[Open]) -> Step[None]:
    message = stack[-1]
    start = window.position
    tag = yield from varint(window)
    number, wire = tag >> 3, tag & 7
    known = fields_of(message.kind).get(number)
    if known is None:
        raise Unfit(f"field {number} of {message.kind.name} at byte {start} is unknown to ONNX")
    if not known.repeated and number in message.seen:
        raise Unfit(f"{message.kind.name}.{known.name} comes twice, at byte {start}")
    message.seen.add(number)
    if wire == known.wire and wire != LENGTH:
        yield from _number(window, message, known)
    elif wire == LENGTH and (known.wire == LENGTH or known.repeated):
        yield from _content(window, stack, known)
    else:
        raise Unfit(f"{message.kind.name}.{known.name} at byte {start} is of wire type {wire}, not {known.wire}")
    if message.end is not None and window.position > message.end:
        raise Unfit(f"{message.kind.name}.{known.name} at byte {start} reaches beyond its message")
    if known.run is not None:
        _run(window, message, known.run)


def _run(window: Window, message: Open, run: re.Pattern[bytes]) -> None:
    """Lets the rest of a long list pass, as far as it is at hand."""
    last = len(window.data)
    if message.end is not None:
        last = min(last, window.at + message.end - window.position)
    if match := run.match(window.data, window.at, last):
        window.at = match.end()


def _number(window: Window, message: Open, known: Field) -> Step[None]:
    if known.wire == VARINT:
        value = yield from varint(window)
        if known.values is not None and value not in known.values:
            raise Unfit(f"{message.kind.name}.{known.name} is {value}, which ONNX does not know")
    else:
        yield from window.skip(WIDTH[known.wire])


def _content(window: Window, stack: list[Open], known: Field) -> Step[None]:
    message = stack[-1]
    length = yield from varint(window)
    end = window.position + length
    if message.end is not None and end > message.end:
        raise Unfit(f"{message.kind.name}.{known.name} at byte {window.position} reaches beyond its message")
    if known.message is not None:
        if len(stack) > DEEPEST:
            raise Unfit(f"more than {DEEPEST} messages within messages at byte {window.position}")
        stack.append(Open(known.message, end, f"{message.kind.name}.{known.name}"))
    elif known.wire != LENGTH:
        yield from packed(window, length, known.wire)
    elif message.path == EXTERNAL and known.name in PAIR:
        if length > LONGEST_TEXT:
            raise Unfit(f"external_data.{known.name} of {length} bytes at byte {window.position}")
        message.texts[known.name] = (yield from window.take(length)).decode("utf-8", "replace")
    else:
        yield from window.skip(length)


def _close(message: Open, location: Callable[[str], None]) -> None:
    if message.end is None:  # the file's own message, the ModelProto
        for name in ("ir_version", "graph"):
            if message.kind.fields_by_name[name].number not in message.seen:
                raise Unfit(f"it has no {name}")
    if message.texts.get("key") == "location":
        location(message.texts.get("value", ""))
