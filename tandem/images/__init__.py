"""App images: what makes them. One file a builder, and one line in the table here."""

from collections.abc import Callable, Mapping
from pathlib import Path

from tandem.errors import SettingsError
from tandem.images.assemble import Assemble
from tandem.images.base import OpenBase, base_identity
from tandem.records import Descriptor
from tandem.seams import Builder
from tandem.settings import ImageSettings

__all__ = ["base_identity", "open_builder"]

BUILDERS: Mapping[str, Callable[[Path, str, OpenBase, Mapping[str, Descriptor]], Builder]] = {"assemble": Assemble}


def open_builder(
    settings: ImageSettings,
    root: Path,
    open_base: OpenBase,
    *,
    model: str = "/model",
    remembered: Mapping[str, Descriptor] | None = None,
) -> Builder:
    """The builder that [image] builder names.

    `open_base` opens the registry of a base image by its URL (without tag or digest), `model` is [model].path, and
    `remembered` maps the `dev.tandem.packages` of layers in earlier app images to those layers, for machines whose
    cache is empty. Raises SettingsError where no builder has that name.
    """
    if settings.builder not in BUILDERS:
        known = ", ".join(sorted(BUILDERS))
        raise SettingsError(f"image.builder: {settings.builder!r} is not known here (there are: {known})")
    return BUILDERS[settings.builder](root / ".tandem" / "cache", model, open_base, remembered or {})
