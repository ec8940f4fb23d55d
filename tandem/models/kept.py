"""A model on this machine's disk: only for an app whose own tests ask for it."""

import shutil
import tempfile
from pathlib import Path

from tandem.models.disk import explained
from tandem.models.passing import exact
from tandem.records import Model


def on_disk(model: Model, cache: Path) -> Path:
    """The folder that holds exactly this version's files, read-only, verified as they were written, and kept.

    A folder of that name is whole, since it comes into its place by a rename. Raises ModelDamaged, ModelError.
    """
    place = cache / model.version
    if place.is_dir():
        return place
    with explained(place):
        cache.mkdir(parents=True, exist_ok=True)
        half = Path(tempfile.mkdtemp(prefix=".half-", dir=cache))
    try:
        with explained(half):
            for blob in model.files:
                file = half / blob.name
                file.parent.mkdir(parents=True, exist_ok=True)
                what = f"model {model.name} {model.version[:12]}: {blob.name} (delete it there, publish it again)"
                with file.open("wb") as opened:
                    for piece in exact(blob.open(0), blob.size, blob.sha256, what):
                        opened.write(piece)
                file.chmod(0o444)
            half.chmod(0o755)
            if not place.is_dir():
                _into_place(half, place)
    finally:
        shutil.rmtree(half, ignore_errors=True)
    return place


def _into_place(half: Path, place: Path) -> None:
    """Rename; where another run was quicker, its folder holds the same bytes."""
    try:
        half.rename(place)
    except OSError:
        if not place.is_dir():
            raise
