"""safetensors: a header and offsets that tile the file.

Source: the format's description in huggingface/safetensors README.md, and its reference implementation's limits.
"""

import json
import math
from collections.abc import Iterable
from typing import Any

from tandem.models.formats.window import Check, Unfit, Window

LARGEST_HEADER = 100_000_000  # bytes, the reference implementation's
BITS = {
    **dict.fromkeys(("F4",), 4),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 16),
    **dict.fromkeys(("U32", "I32", "F32"), 32),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 64),
}


def check() -> Check:
    """Passes one safetensors file."""
    window = Window()
    length = int.from_bytes((yield from window.take(8)), "little")
    if length > LARGEST_HEADER:
        raise Unfit(f"its header would be {length} bytes: {LARGEST_HEADER} at most")
    yield from window.skip(_data_size((yield from window.take(length))))
    if window.left or (yield from window.fill(1)):
        raise Unfit(f"bytes after its last tensor, at byte {window.position}")


def _data_size(header: bytes) -> int:
    """The bytes that the header's tensors take; raises Unfit where it is not strict or they do not tile."""
    if not header.startswith(b"{"):
        raise Unfit("its header does not begin with '{'")
    try:
        document = json.loads(header.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (UnicodeDecodeError, RecursionError, json.JSONDecodeError) as error:
        raise Unfit(f"its header is not JSON: {error}") from None
    metadata = document.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise Unfit("its __metadata__ is not a map of texts")
    end = 0
    for begin, finish in sorted(_span(name, tensor) for name, tensor in document.items()):
        if begin != end:
            raise Unfit(f"its tensors leave a hole or overlap at byte {min(begin, end)} of the data")
        end = finish
    return end


def _span(name: str, tensor: Any) -> tuple[int, int]:
    if not isinstance(tensor, dict) or set(tensor) != {"dtype", "shape", "data_offsets"}:
        raise Unfit(f"tensor {name!r:.80} must have dtype, shape, data_offsets, and nothing else")
    dtype, shape, offsets = tensor["dtype"], tensor["shape"], tensor["data_offsets"]
    if not isinstance(dtype, str) or dtype not in BITS:
        raise Unfit(f"tensor {name!r:.80} is of dtype {dtype!r:.40}, which safetensors does not know")
    if not _sizes(shape) or not _sizes(offsets) or len(offsets) != 2:
        raise Unfit(f"tensor {name!r:.80}: shape and data_offsets must be lists of whole numbers")
    begin, end = offsets
    if (end - begin) * 8 != math.prod(shape) * BITS[dtype]:
        raise Unfit(f"tensor {name!r:.80}: {dtype} of shape {shape!r:.80} does not take {end - begin} bytes")
    return begin, end


def _sizes(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= 64 and all(type(size) is int and size >= 0 for size in value)


def _unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for key, value in pairs:
        if key in document:
            raise Unfit(f"its header holds {key!r:.80} twice")
        document[key] = value
    return document


def _no_constant(text: str) -> None:
    raise Unfit(f"its header holds {text}, which is not JSON")
