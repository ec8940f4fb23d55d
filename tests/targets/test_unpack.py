"""An image becomes a folder: whole, inside its bounds, and cheap where it shares layers."""

import errno
import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tandem.errors import ReleaseFailed
from tandem.records import Image
from tandem.targets.unpack import sweep, unpack, unpacked

Make = Callable[..., Image]
LINK = {"type": tarfile.SYMTYPE}
HARD = {"type": tarfile.LNKTYPE}


def unpack_in(tmp_path: Path, image: Image) -> Path:
    return unpack(image, tmp_path / "images", tmp_path / "cache").root


def test_later_layers_cover_and_delete_what_earlier_ones_brought(make_image: Make, tmp_path: Path) -> None:
    first = [("app/a", b"a1"), ("app/b", b"b1"), ("app/old/x", b"x"), ("app/whole/y", b"y"), ("app/folder/z", b"z")]
    second = [("app/a", b"a2"), ("app/.wh.b", b""), ("app/.wh.old", b""), ("app/whole/.wh..wh..opq", b"")]
    third = [("app/whole/new", b"n"), ("app/folder", b"now a file")]
    root = unpack_in(tmp_path, make_image(first, second, third))
    assert (root / "app/a").read_bytes() == b"a2"
    assert sorted(path.name for path in (root / "app").iterdir()) == ["a", "folder", "whole"]
    assert [path.name for path in (root / "app/whole").iterdir()] == ["new"]
    assert (root / "app/folder").read_bytes() == b"now a file"


@pytest.mark.parametrize(
    "entries",
    [
        [("../outside", b"x")],
        [("app/../../outside", b"x")],
        [("/outside", b"x")],
        [("app/link", {**LINK, "linkname": "/etc/passwd"})],
        [("app/link", {**LINK, "linkname": "../../outside"})],
        [("app/here", {**LINK, "linkname": "."}), ("app/out", {**LINK, "linkname": "here/here/../../.."})],
        [("app/link", {**LINK, "linkname": "../.."}), ("app/link/outside", b"x")],
        [("app/link", {**LINK, "linkname": "venv"}), ("app/link/inside", b"x")],
        [("app/hard", {**HARD, "linkname": "../../outside"})],
        [("app/hard", {**HARD, "linkname": "/etc/passwd"})],
        [("app/link", {**LINK, "linkname": "/etc/passwd"}), ("app/hard", {**HARD, "linkname": "app/link"})],
        [("app/null", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3})],
        [("app/pipe", {"type": tarfile.FIFOTYPE})],
        [("app/root", {"type": tarfile.REGTYPE, "mode": 0o4755})],
        [("app/file", b"x"), ("app/file/below", b"x")],
    ],
)
def test_a_hostile_entry_is_refused_and_nothing_is_written_outside(
    make_image: Make, tmp_path: Path, entries: list[tuple[str, object]]
) -> None:
    with pytest.raises(ReleaseFailed) as refused:
        unpack_in(tmp_path, make_image(entries))
    assert refused.value.fault == "candidate"
    assert not list(tmp_path.rglob("outside"))
    assert [path.name for path in (tmp_path / "images").iterdir()] == [".lock"]


def test_a_link_of_a_lower_layer_is_not_written_through_by_a_higher_one(make_image: Make, tmp_path: Path) -> None:
    lower = [("app/there", {**LINK, "linkname": "../model"}), ("model/weights", b"w")]
    root = unpack_in(tmp_path, make_image(lower, [("app/there/weights", b"changed")]))
    assert (root / "model/weights").read_bytes() == b"w"
    assert (root / "app/there/weights").read_bytes() == b"changed"


def test_images_that_share_a_layer_share_its_bytes_on_disk(make_image: Make, tmp_path: Path) -> None:
    model = [("model/weights", b"w" * 100_000), ("model/labels", b"few bytes")]
    one = unpack_in(tmp_path, make_image([("app/a", b"1")], model))
    two = unpack_in(tmp_path, make_image([("app/a", b"2")], model))
    for name in ("weights", "labels"):
        assert (one / "model" / name).samefile(two / "model" / name)
    assert not (one / "app/a").samefile(two / "app/a")


def test_a_file_that_an_app_wrote_to_is_not_given_to_the_next_image(make_image: Make, tmp_path: Path) -> None:
    model = [("model/weights", b"right")]
    one = unpack_in(tmp_path, make_image([("app/a", b"1")], model))
    (one / "model/weights").chmod(0o644)
    (one / "model/weights").write_bytes(b"wrong")
    two = unpack_in(tmp_path, make_image([("app/a", b"2")], model))
    assert (two / "model/weights").read_bytes() == b"right"


def test_the_bundle_is_a_virtual_environment_of_this_python(make_image: Make, tmp_path: Path) -> None:
    minor = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    root = unpack_in(tmp_path, make_image([(f"venv/lib/{minor}/site-packages/mine.py", b"print('imported')")]))
    said = subprocess.run([root / "venv/bin/python", "-c", "import mine, sys; print(sys.prefix)"], capture_output=True)
    assert said.stdout.decode().split() == ["imported", str(root / "venv")]


@pytest.mark.parametrize(
    ("base", "says"),
    [("sha256:" + "0" * 64, "stands on a base image"), ("none cpython-2.7-linux-x86_64", "was made for")],
)
def test_an_image_for_another_system_is_the_environments_fault(
    make_image: Make, tmp_path: Path, base: str, says: str
) -> None:
    with pytest.raises(ReleaseFailed, match=says) as refused:
        unpack_in(tmp_path, make_image([("app/a", b"1")], base=base))
    assert refused.value.fault == "environment"


def test_a_kill_in_the_middle_leaves_nothing_that_is_taken_for_whole(make_image: Make, tmp_path: Path) -> None:
    image = make_image([("app/a", b"1")], [(f"model/{number}", b"w") for number in range(100)])
    code = """
import os, sys; from pathlib import Path
from tandem.manifests import image_of; from tandem.registries import open_registry; from tandem.targets import unpack
tmp, left = Path(sys.argv[1]), int(sys.argv[2])
link = os.link
def dying(*arguments, **named):
    global left
    left -= 1
    os.kill(os.getpid(), 9) if left == 0 else link(*arguments, **named)
os.link = dying
unpack.unpack(image_of(open_registry(f"oci:{tmp}/registry", tmp), "v1"), tmp / "images", tmp / "cache")
"""
    for left in (1, 50):
        argv = [sys.executable, "-c", code, str(tmp_path), str(left)]
        assert subprocess.run(argv).returncode == -signal.SIGKILL
        assert unpacked(tmp_path / "images" / image.digest[7:19], image.digest) is None
    assert len(list((unpack_in(tmp_path, image) / "model").iterdir())) == 100
    assert not list(tmp_path.rglob(".new-*"))


@pytest.mark.skipif(os.geteuid() != 0 or not sys.platform.startswith("linux"), reason="a small disk needs root")
def test_a_full_disk_is_the_environments_fault_and_says_so(make_image: Make, tmp_path: Path) -> None:
    image = make_image([("model/weights", b"w" * 3_000_000)])
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)], check=True)
    try:
        with pytest.raises(ReleaseFailed, match="no room on the disk") as failed:
            unpack(image, small / "images", small / "cache")
        assert failed.value.fault == "environment"
        assert isinstance(failed.value.__cause__, OSError)
        assert failed.value.__cause__.errno == errno.ENOSPC
        assert not list(small.rglob("weights"))
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_layers_that_no_bundle_needs_are_swept(make_image: Make, tmp_path: Path) -> None:
    image = make_image([("app/a", b"1")], [("app/b", b"2")])
    root = unpack_in(tmp_path, image)
    first, second = (layer.digest for layer in image.manifest.layers)
    assert sweep(tmp_path / "cache", {first}) == [second]
    assert (root / "app/b").read_bytes() == b"2"
