"""Records to canonical JSON and back, by their field types: what states and pointers are stored as.

Canonical: keys sorted, no spaces, UTF-8; so that equal records give equal bytes.
"""

import json
from functools import cache
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter

T = TypeVar("T")


@cache
def adapter(kind: Any) -> TypeAdapter[Any]:
    """What reads and writes records of this type; building one takes milliseconds, so there is one of each."""
    return TypeAdapter(kind)


def dump(record: object) -> bytes:
    """A frozen record as canonical JSON; times in ISO 8601 with their zone."""
    return canonical(adapter(cast(Any, type(record))).dump_python(record, mode="json"))


def canonical(value: object) -> bytes:
    """A JSON value as canonical bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def load(kind: type[T], content: bytes) -> T:
    """The record back; raises pydantic.ValidationError where the bytes do not hold one."""
    record: T = adapter(cast(Any, kind)).validate_json(content)
    return record
