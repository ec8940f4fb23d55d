"""App images: what makes them. One file a builder, and one line in the table here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tandem.errors import SettingsError
from tandem.images.assemble import Assemble
from tandem.images.base import OpenBase, base_identity
from tandem.records import Descriptor
from tandem.seams import Builder
from tandem.settings import ImageSettings

if TYPE_CHECKING:  # docker's SDK is slow to import, and only builds need it
    from tandem.images.docker_daemon import Daemon

__all__ = ["base_identity", "open_builder"]


@dataclass(frozen=True)
class Opening:
    """What a builder is opened with."""

    cache: Path
    model: str
    open_base: OpenBase
    remembered: Mapping[str, Descriptor]
    daemon: "Daemon | None"


def _assemble(opening: Opening) -> Builder:
    return Assemble(opening.cache, opening.model, opening.open_base, opening.remembered)


def _docker(opening: Opening) -> Builder:
    if opening.daemon is None:
        raise SettingsError('image.builder: "docker" builds by a Docker daemon, and none was named')
    from tandem.images.docker import Docker

    return Docker(opening.model, opening.daemon)


BUILDERS: Mapping[str, Callable[[Opening], Builder]] = {"assemble": _assemble, "docker": _docker}


def open_builder(
    settings: ImageSettings,
    root: Path,
    open_base: OpenBase,
    *,
    model: str = "/model",
    remembered: Mapping[str, Descriptor] | None = None,
    daemon: "Daemon | None" = None,
) -> Builder:
    """The builder that [image] builder names.

    `open_base` opens the registry of a base image by its URL (without tag or digest), `model` is [model].path, and
    `remembered` maps the `dev.tandem.packages` of layers in earlier app images to those layers, for machines whose
    cache is empty. `daemon` is what "docker" builds by. Raises SettingsError where no builder has that name.
    """
    if settings.builder not in BUILDERS:
        known = ", ".join(sorted(BUILDERS))
        raise SettingsError(f"image.builder: {settings.builder!r} is not known here (there are: {known})")
    return BUILDERS[settings.builder](Opening(root / ".tandem" / "cache", model, open_base, remembered or {}, daemon))
