"""JSON Pointer (RFC 6901), JSON's equality, and values shortened for a message."""

import json
import re
from typing import Any


def found(document: Any, pointer: str) -> Any:
    """The value that the pointer names; LookupError, with what there is instead, where it names none."""
    if pointer and not pointer.startswith("/"):
        raise LookupError(f"{pointer!r} is no JSON Pointer: it must be empty or begin with '/'")
    value = document
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict):
            if name not in value:
                raise LookupError(f"there is no {name!r} among {shown(sorted(value))}")
            value = value[name]
        elif isinstance(value, list):
            if not re.fullmatch(r"0|[1-9][0-9]*", name) or int(name) >= len(value):
                raise LookupError(f"there is no element {name!r} in a list of {len(value)}")
            value = value[int(name)]
        else:
            raise LookupError(f"{shown(value)} holds no {name!r}")
    return value


def same(one: Any, other: Any) -> bool:
    """Equal as JSON values: 1 and 1.0 are, true and 1 are not; floats by their exact value."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def shown(value: Any, length: int = 200) -> str:
    """The value on one line, at most `length` characters of it."""
    text = value.decode(errors="replace") if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    printable = "".join(character if character.isprintable() else "?" for character in text)
    return printable if len(printable) <= length else f"{printable[:length]}…"
