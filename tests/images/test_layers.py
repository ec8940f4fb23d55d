import hashlib
import io
import random
import tarfile
from dataclasses import replace

import pytest

from tandem.errors import BuildFailed
from tandem.images.layers import SOURCE_DATE, Entry, layer_blob
from tandem.manifests import blob_of
from tandem.records import Blob

LONG = "x" * 120
ENTRIES = [
    Entry("venv/bin/tool", blob_of(b"#!/bin/sh\n", "tool"), executable=True),
    Entry("venv/bin/python", link="/usr/bin/python3"),
    Entry(f"venv/lib/{LONG}/modèle.py", blob_of(b"1" * 1000, "py")),
    Entry("venv/empty.txt", blob_of(b"", "empty.txt")),
    Entry("tmp/cache"),
]


def content(blob: Blob, offset: int = 0) -> bytes:
    return b"".join(blob.open(offset))


def test_a_layer_is_the_tar_that_it_says_and_as_long() -> None:
    layer = layer_blob(ENTRIES)
    assert len(content(layer)) == layer.size
    with tarfile.open(fileobj=io.BytesIO(content(layer))) as tar:
        members = {member.name: member for member in tar}
    assert list(members) == [
        *("tmp", "tmp/cache", "venv", "venv/bin", "venv/bin/python", "venv/bin/tool", "venv/empty.txt"),
        *("venv/lib", f"venv/lib/{LONG}", f"venv/lib/{LONG}/modèle.py"),
    ]
    assert members["venv/bin/python"].linkname == "/usr/bin/python3"
    assert [members[name].mode for name in ("venv/bin/tool", "venv/empty.txt", "venv", "tmp")] == [
        *(0o755, 0o644, 0o755, 0o1777),
    ]
    assert {(member.mtime, member.uid, member.gid, member.uname) for member in members.values()} == {
        (SOURCE_DATE, 0, 0, "")
    }


def test_a_layer_is_the_same_in_whatever_order_its_entries_come() -> None:
    shuffled = random.Random(7).sample(ENTRIES, len(ENTRIES))
    assert content(layer_blob(shuffled)) == content(layer_blob(ENTRIES))


def test_a_layers_bytes_are_these_and_change_only_on_purpose() -> None:
    digest = hashlib.sha256(content(layer_blob(ENTRIES))).hexdigest()
    assert digest == "90611bd6bceb86b868f51e67914e84a204b995332b306650d475aa2447ae0181", (
        "every layer of every app would travel again: is that wanted?"
    )


def test_a_layer_is_read_from_any_offset() -> None:
    layer = layer_blob(ENTRIES)
    whole = content(layer)
    for offset in range(0, layer.size + 1, 97):
        assert content(layer, offset) == whole[offset:]


def test_a_file_larger_than_ustar_can_say_has_its_size_in_the_header() -> None:
    size = 9 * 1024**3
    layer = layer_blob([Entry("model/weights", Blob("weights", size, None, lambda offset: iter([])))])
    header = next(iter(layer_blob([Entry("model/weights", blob_of(b"", "weights"))]).open(0)))
    assert layer.size == size + len(header) + 2 * 512  # a PAX header and its record


@pytest.mark.parametrize(
    "path", ["/abs", "../up", "a/../b", "a//b", "a/", "", ".", "a/.wh.b", ".wh..wh..opq", "lib/x", "a\0b", "a/\udce9"]
)
def test_a_path_that_may_not_stand_in_a_layer_is_refused(path: str) -> None:
    with pytest.raises(BuildFailed, match="layer"):
        layer_blob([Entry(path, blob_of(b"x", "x"))])


def test_two_files_of_one_path_are_refused() -> None:
    for other in (Entry("a", blob_of(b"2", "a")), Entry("a"), Entry("a/b", blob_of(b"2", "b"))):
        for pair in ([Entry("a", link="x"), other], [other, Entry("a", link="x")]):
            with pytest.raises(BuildFailed, match="a"):
                layer_blob(pair)


@pytest.mark.parametrize("size", [999, 1001])
def test_a_file_that_changed_its_length_meanwhile_is_found(size: int) -> None:
    layer = layer_blob([Entry("app.py", replace(blob_of(b"1" * 1000, "app.py"), size=size))])
    with pytest.raises(BuildFailed, match=r"app\.py"):
        content(layer)
