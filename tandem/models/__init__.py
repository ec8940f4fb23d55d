"""Stores of models: the one table of backends, by URL scheme; and what a model must be to ride."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from tandem.errors import SettingsError
from tandem.models.files import facts_of, files_of
from tandem.models.folder import open_folder
from tandem.models.formats import checked, checked_files
from tandem.models.modified import ModifiedStore
from tandem.models.objects import Objects
from tandem.models.require import meets, parse
from tandem.models.store import PublishedStore
from tandem.seams import Store
from tandem.settings import ModelSettings

__all__ = ["checked", "checked_files", "facts_of", "files_of", "meets", "open_store"]

BACKENDS: Mapping[str, Callable[[str, Path], Objects]] = {
    "file": open_folder,
}


def _clock() -> datetime:
    return datetime.now(UTC)


def open_store(settings: ModelSettings, root: Path, now: Callable[[], datetime] = _clock) -> Store:
    """The store that [model] names, relative to `root`; reads nothing yet. Raises SettingsError."""
    for line in settings.require:
        parse(line)
    scheme = settings.store.partition(":")[0]
    if scheme not in BACKENDS:
        known = ", ".join(BACKENDS)
        raise SettingsError(f"[model].store {settings.store!r}: no store of this kind; known are {known}")
    objects = BACKENDS[scheme](settings.store, root)
    return ModifiedStore(objects) if settings.newest == "modified" else PublishedStore(objects, now)
