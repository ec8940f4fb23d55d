"""A data scientist's folder as blobs and facts: what `tandem publish DIR` reads."""

import json
import logging
import math
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from tandem.errors import ModelRefused
from tandem.models.disk import explained, pieces, walk
from tandem.models.names import check_files
from tandem.records import Blob, Facts

METRICS = "metrics.json"
LARGEST_METRICS = 1 << 20

_log = logging.getLogger(__name__)


def files_of(directory: Path) -> list[Blob]:
    """The folder's files by their paths in it, not hashed yet; hidden ones are left out, and the log says so.

    Raises ModelRefused where it is no folder, is empty, holds a link that leaves it or a name that cannot travel.
    """
    if not directory.is_dir():
        raise ModelRefused(f"{directory} is no folder: name the one that holds the model's files")
    with explained(directory):
        entries = sorted(walk(directory, skipped=_skipped), key=lambda entry: entry.path)
    if not entries:
        raise ModelRefused(f"{directory} holds no file (hidden ones do not count): there is nothing to publish")
    check_files(entry.path for entry in entries)
    return [Blob(each.path, each.size, None, partial(_open, directory / each.path, each.tag)) for each in entries]


def _skipped(path: str) -> None:
    _log.warning("left out %s: hidden", path)


def _open(file: Path, tag: str, offset: int) -> Iterator[bytes]:
    return pieces(file, offset, tag)


def facts_of(files: Iterable[Blob]) -> Facts:
    """The metrics that metrics.json among the files holds; none where there is none.

    Raises ModelRefused where it is not a flat JSON object of finite numbers.
    """
    for blob in files:
        if blob.name == METRICS:
            if blob.size > LARGEST_METRICS:
                raise ModelRefused(f"{METRICS} is {blob.size} bytes: {LARGEST_METRICS} at most, names and numbers")
            return Facts(read_metrics(b"".join(blob.open(0))))
    return Facts()


def read_metrics(content: bytes) -> dict[str, float]:
    """`{"accuracy": 0.97}` → the same; raises ModelRefused for anything but names and finite numbers."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ModelRefused(f"{METRICS} is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise ModelRefused(f'{METRICS} must be an object of names and numbers, such as {{"accuracy": 0.97}}')
    for name, value in document.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            kind = "nested" if isinstance(value, dict | list) else f"{value!r:.40}"
            raise ModelRefused(f"{METRICS}: {name!r} is {kind}: each metric is one finite number")
    return {name: float(value) for name, value in document.items()}
