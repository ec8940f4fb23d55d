"""A model's files on disk for the app's own tests: whole, verified, once."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tandem.errors import ModelDamaged
from tandem.models.kept import on_disk
from tandem.records import Blob, Model


def blob(name: str, content: bytes, sha256: str | None = None) -> Blob:
    def read(offset: int) -> Iterator[bytes]:
        yield content[offset:]

    return Blob(name, len(content), sha256 or hashlib.sha256(content).hexdigest(), read)


def test_the_files_stand_under_their_names_and_are_written_once(tmp_path: Path) -> None:
    model = Model("digits", "v1", (blob("a.onnx", b"weights"), blob("labels/en.json", b"[]")))
    folder = on_disk(model, tmp_path)
    assert (folder / "a.onnx").read_bytes() == b"weights" and (folder / "labels/en.json").read_bytes() == b"[]"
    before = (folder / "a.onnx").stat().st_ino
    assert on_disk(model, tmp_path) == folder and (folder / "a.onnx").stat().st_ino == before


def test_bytes_that_do_not_match_leave_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ModelDamaged, match=r"b\.onnx"):
        on_disk(Model("digits", "v1", (blob("a.onnx", b"good"), blob("b.onnx", b"evil", "0" * 64))), tmp_path)
    assert list(tmp_path.iterdir()) == []
