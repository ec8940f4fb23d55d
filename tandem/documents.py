"""Records to canonical JSON and back, by their field types: what states and pointers are stored as.

Canonical: keys sorted, no spaces, UTF-8; so that equal records give equal bytes.
"""

import json
from typing import TypeVar

from pydantic import TypeAdapter

T = TypeVar("T")


def dump(record: object) -> bytes:
    """A frozen record as canonical JSON; times in ISO 8601 with their zone."""
    value = TypeAdapter(type(record)).dump_python(record, mode="json")
    return canonical(value)


def canonical(value: object) -> bytes:
    """A JSON value as canonical bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def load(kind: type[T], content: bytes) -> T:
    """The record back; raises pydantic.ValidationError where the bytes do not hold one."""
    return TypeAdapter(kind).validate_json(content)
