"""Names of models and of the files in them: hostile until checked here, on the way in and on the way out."""

import re
import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath

from tandem.errors import ModelRefused, SettingsError

MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
LONGEST_PATH = 700  # bytes: an object store's 1,024 leave room for its prefix, the model's name and version
LONGEST_PART = 255  # bytes: what every file system takes


def check_model_name(name: str) -> None:
    """Raises SettingsError where `name` cannot name a published model."""
    if not MODEL_NAME.fullmatch(name):
        raise SettingsError(
            f"[model].name {name!r}: letters, digits, '.', '_', '-', 100 at most, beginning with a letter or digit"
        )


def check_pattern(pattern: str) -> None:
    """Raises SettingsError where `pattern` cannot name folders in a store that people fill by hand."""
    parts = pattern.split("/")
    if any(part in ("", ".", "..") or part.startswith(".") for part in parts) or not _plain(pattern):
        raise SettingsError(f'[model].name {pattern!r}: a folder in the store, or a pattern such as "digits-*"')


def check_files(names: Iterable[str]) -> None:
    """Raises ModelRefused where these names cannot stand beside each other in one model, on any system.

    They become paths in an image's layer, where `.wh.` would delete (OCI image-spec, layer.md, "Whiteouts").
    """
    taken: dict[str, str] = {}
    for name in names:
        if why := _wrong(name):
            raise ModelRefused(f"file name {name[:80]!r}: {why}: rename it")
        folded = unicodedata.normalize("NFC", name).casefold()
        if folded in taken:
            raise ModelRefused(f"{name!r} and {taken[folded]!r} are the same file on some systems: rename one")
        taken[folded] = name
    for folded, name in taken.items():
        for parent in PurePosixPath(folded).parents:
            if str(parent) in taken:
                raise ModelRefused(f"{taken[str(parent)]!r} is a file and also the folder of {name!r}: rename one")


def _wrong(name: str) -> str | None:
    parts = name.split("/")
    if not name or any(part in ("", ".", "..") for part in parts):
        return "must be a relative path without empty parts, '.' or '..'"
    if not _plain(name):
        return "must not hold backslashes, control characters or bytes that are not UTF-8"
    if any(part.startswith(".wh.") for part in parts):
        return "'.wh.' deletes files in an image"
    if len(name.encode()) > LONGEST_PATH or any(len(part.encode()) > LONGEST_PART for part in parts):
        return f"longer than {LONGEST_PATH} bytes, or a part of it than {LONGEST_PART}"
    return None


def _plain(name: str) -> bool:
    return name.isprintable() and "\\" not in name
