"""Formats that hold no code: each file is accounted for, byte by byte, as it passes.

The table says which check a suffix gets; a format that app.toml allows beyond these is named, and not looked into.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from tandem.errors import ModelRefused
from tandem.models.formats import onnx, pickles, plain, safetensors, zips
from tandem.models.formats.window import Check, Unfit
from tandem.models.names import check_files
from tandem.models.passing import lagging
from tandem.records import Blob, Model

CHECKS: Mapping[str, Callable[[], Check]] = {
    "safetensors": safetensors.check,
    "json": plain.check_json,
    "txt": plain.check_text,
}
ONNX = "onnx"


def checked(model: Model, formats: Sequence[str]) -> Model:
    """The model with its files guarded: bytes that may not ride raise ModelRefused before the last piece.

    Raises ModelRefused at once for a file of another format; reads the .onnx files first where that must be known.
    """
    return replace(model, files=tuple(checked_files(model.files, formats)))


def checked_files(files: Sequence[Blob], formats: Sequence[str]) -> list[Blob]:
    """The same for files that are not a model yet: what `publish` is given."""
    allowed = {each.lower().lstrip(".") for each in formats}
    names = {blob.name for blob in files}
    check_files(blob.name for blob in files)
    strange = [blob.name for blob in files if _suffix(blob.name) not in allowed]
    if strange and ONNX in allowed:
        graphs = [_guarded(blob, allowed, names) for blob in files if _suffix(blob.name) == ONNX]
        kept = {weights for blob in graphs for weights in _weights(blob)}
        strange = [name for name in strange if name not in kept]
    if strange:
        known = ", ".join(sorted(allowed)) or "none"
        raise ModelRefused(
            f"{strange[0]}: its format is not among those that may ride ({known}): leave it out, export the model "
            f"to one that holds no code, or name {_suffix(strange[0]) or 'its suffix'!r} in [model].formats"
        )
    return [_guarded(blob, allowed, names) for blob in files]


def _suffix(name: str) -> str:
    return name.rpartition("/")[2].rpartition(".")[2].lower() if "." in name.rpartition("/")[2] else ""


def _guarded(blob: Blob, allowed: set[str], names: set[str]) -> Blob:
    suffix = _suffix(blob.name)
    if suffix in allowed and suffix != ONNX and suffix not in CHECKS:
        return blob
    return replace(blob, open=partial(_open, blob, suffix if suffix in allowed else "", names))


def _checks(blob: Blob, suffix: str, location: Callable[[str], None]) -> list[Check]:
    disguises = [pickles.check_text() if suffix == "txt" else pickles.check(), zips.check()]
    if suffix == ONNX:
        return [*disguises, onnx.check(location)]
    return [*disguises, CHECKS[suffix]()] if suffix in CHECKS else disguises


def _open(blob: Blob, suffix: str, names: set[str], offset: int) -> Iterator[bytes]:
    """The pieces from `offset`; those before it are read too, since a check needs them all."""
    position = 0
    for piece in _passing(blob, _checks(blob, suffix, partial(_beside, blob.name, names))):
        if position + len(piece) > offset:
            yield piece[max(0, offset - position) :]
        position += len(piece)


def _passing(blob: Blob, checks: list[Check]) -> Iterator[bytes]:
    live = [each for each in checks if _sent(blob, each, None)]
    ended = False
    for piece, last in lagging(blob.open(0)):
        live = [each for each in live if _sent(blob, each, piece)]
        if last:
            _end(blob, live)
            ended = True
        yield piece
    if not ended:
        _end(blob, live)


def _sent(blob: Blob, check: Check, piece: bytes | None) -> bool:
    """Whether the check wants more."""
    try:
        check.send(piece) if piece is not None else next(check)
    except StopIteration:
        return False
    except Unfit as why:
        raise ModelRefused(f"{blob.name}: not allowed to ride: {why}: export it again from its training code") from None
    return True


def _end(blob: Blob, live: list[Check]) -> None:
    for each in live:
        _sent(blob, each, b"")


def _weights(blob: Blob) -> set[str]:
    """The files that an .onnx file keeps weights in, by their paths in the model."""
    found: set[str] = set()
    checks = [onnx.check(lambda location: found.add(_path(blob.name, location)))]
    for _ in _passing(blob, checks):
        pass
    return found


def _path(graph: str, location: str) -> str:
    return f"{graph.rpartition('/')[0]}/{location}".lstrip("/")


def _beside(graph: str, names: set[str], location: str) -> None:
    """Raises Unfit unless `location` is a file of the model, in the .onnx file's folder or below it."""
    if location.startswith("/") or _path(graph, location) not in names:
        raise Unfit(f"it keeps weights in {location!r:.100}, which is no file of this model")
