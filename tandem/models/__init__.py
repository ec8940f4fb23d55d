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
from tandem.models.passing import hashed
from tandem.models.require import meets, parse
from tandem.models.store import PublishedStore
from tandem.seams import Store
from tandem.settings import ModelSettings

__all__ = ["checked", "checked_files", "facts_of", "files_of", "hashed", "meets", "open_store"]


def _folder(url: str, root: Path, credential: object) -> Objects:
    return open_folder(url, root)


def _azure(url: str, root: Path, credential: object) -> Objects:
    from tandem.models.azure_blob import open_azure  # the clouds' libraries take a second to import

    return open_azure(url, root, credential)


def _s3(url: str, root: Path, credential: object) -> Objects:
    from tandem.models.s3 import open_s3

    return open_s3(url, root, credential)


BACKENDS: Mapping[str, Callable[[str, Path, object], Objects]] = {"file": _folder, "azure-blob": _azure, "s3": _s3}


def _clock() -> datetime:
    return datetime.now(UTC)


def open_store(
    settings: ModelSettings, root: Path, now: Callable[[], datetime] = _clock, credential: object = None
) -> Store:
    """The store that [model] names, relative to `root`; reads nothing yet. Raises SettingsError.

    `credential` opens a cloud's (what it may be, the backend says); without one, what this machine has.
    """
    for line in settings.require:
        parse(line)
    scheme = settings.store.partition(":")[0]
    if scheme not in BACKENDS:
        known = ", ".join(BACKENDS)
        raise SettingsError(f"[model].store {settings.store!r}: no store of this kind; known are {known}")
    objects = BACKENDS[scheme](settings.store, root, credential)
    return ModifiedStore(objects) if settings.newest == "modified" else PublishedStore(objects, now)
