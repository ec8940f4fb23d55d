"""What a release would change of an object, for people: a line a field."""

import json
from collections.abc import Iterator
from typing import Any

from tandem.targets.kubernetes.objects import Json, ref_of
from tandem.targets.kubernetes.owners import VOLATILE
from tandem.targets.kubernetes.prepare import RELEASE


def changes(before: Json | None, after: Json) -> Iterator[str]:
    """Each field that differs, as `Kind/name path: old → new`; one line for a new object."""
    name = str(ref_of(after))
    if before is None:
        yield f"{name}: new"
        return
    for path, old, new in _differences(_shown(before), _shown(after), ""):
        yield f"{name} {path}: {_text(old)} → {_text(new)}"


def _shown(body: Json) -> Json:
    metadata = {key: value for key, value in body["metadata"].items() if key not in VOLATILE}
    metadata["annotations"] = {k: v for k, v in (metadata.get("annotations") or {}).items() if k != RELEASE}
    return {**{key: value for key, value in body.items() if key != "status"}, "metadata": metadata}


def _differences(old: Any, new: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            yield from _differences(old.get(key), new.get(key), f"{path}.{key}" if path else key)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for at, (left, right) in enumerate(zip(old, new, strict=True)):
            name = right.get("name", at) if isinstance(right, dict) else at
            yield from _differences(left, right, f"{path}[{name}]")
    elif old != new:
        yield path, old, new


def _text(value: Any) -> str:
    text = "nothing" if value is None else json.dumps(value, sort_keys=True)
    return text if len(text) <= 200 else f"{text[:200]}…"
