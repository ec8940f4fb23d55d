"""Registries: where images and their evidence are kept. One file a backend, and one line in the table here."""

from collections.abc import Callable, Mapping
from pathlib import Path

from tandem.errors import SettingsError
from tandem.registries.layout import LayoutRegistry
from tandem.seams import Registry


def _layout(url: str, root: Path) -> Registry:
    path = url.removeprefix("oci:")
    if not path:
        raise SettingsError(f"image.registry: {url!r} names no folder: write oci:path/to/folder")
    return LayoutRegistry(url, root / path)


REGISTRIES: Mapping[str, Callable[[str, Path], Registry]] = {"oci": _layout}


def open_registry(url: str, root: Path) -> Registry:
    """The registry that [image].registry names; a relative folder starts at `root`.

    Nothing is read or made yet. Raises SettingsError where no backend knows the URL.
    """
    scheme, colon, _ = url.partition(":")
    if not colon or scheme not in REGISTRIES:
        raise SettingsError(f"image.registry: {url!r} is not known here: write oci:path/to/folder")
    return REGISTRIES[scheme](url, root)
