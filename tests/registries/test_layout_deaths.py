import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tandem.errors import RegistryError
from tandem.manifests import blob_of
from tandem.records import Image, ImageManifest
from tandem.registries.layout import LayoutRegistry

Push = Callable[..., Image]
DIES = Path(__file__).with_name("dies.py")


def test_a_kill_at_any_step_on_the_disk_leaves_a_valid_layout() -> None:
    with TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        argv = [sys.executable, DIES, folder]
        said = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert said.returncode == 0, f"last: {said.stdout.splitlines()[-1:]}\n{said.stderr}"
    deaths = [json.loads(line) for line in said.stdout.splitlines()]
    assert len(deaths) > 100
    assert [death for death in deaths if death["found"] != "whole"] == []


def test_what_a_dead_writer_left_goes_and_a_living_ones_stays(registry: LayoutRegistry, push: Push) -> None:
    push("a")
    uploads = registry.folder.path / ".uploads"
    (uploads / "left by the dead").touch()

    def pieces(offset: int) -> Iterator[bytes]:
        yield b"on its "
        push("b")  # another writer, which clears what is dead, comes in between
        yield b"way"

    blob = blob_of(b"on its way", "layer")
    written = registry.write(replace(blob, open=pieces), "application/x-layer")
    assert b"".join(registry.read(written.digest)) == b"on its way"
    assert list(uploads.iterdir()) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=False).returncode:
        pytest.skip("only root can mount a small disk")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def test_a_full_disk_is_said_and_nothing_half_is_kept(small_disk: Path) -> None:
    registry = LayoutRegistry("oci:small", small_disk / "registry")
    with pytest.raises(RegistryError, match=r"oci:small: no space left on the disk while writing blob weights"):
        registry.write(blob_of(bytes(2_000_000), "weights"), "application/x-layer")
    kept = {file.name for file in small_disk.rglob("*") if file.is_file()}
    assert kept == {"index.json", "oci-layout", ".lock"}
    registry.write(blob_of(bytes(100_000), "smaller"), "application/x-layer")


def test_a_disk_that_fills_before_the_tag_leaves_the_image_untagged(small_disk: Path) -> None:
    registry = LayoutRegistry("oci:small", small_disk / "registry")
    config = registry.write(blob_of(b"{}", "config.json"), "application/x-config")
    image = registry.put(ImageManifest(config, ()), "v1")
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError):
        while True:
            file.write(bytes(4096))
    with pytest.raises(RegistryError, match="no space left on the disk"):
        registry.put(ImageManifest(config, ()), "v2")
    assert registry.tags() == ["v1"]
    filler.unlink()
    assert registry.put(ImageManifest(config, ()), "v2") == image
    assert sorted(registry.tags()) == ["v1", "v2"]


def test_a_file_size_limit_is_a_full_disk_too(tmp_path: Path) -> None:
    script = (
        "import resource, sys; from pathlib import Path; from tandem.manifests import blob_of;"
        "from tandem.registries import open_registry; resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536));"
        "open_registry('oci:limited', Path(sys.argv[1])).write(blob_of(bytes(200_000), 'weights'), 'x/y')"
    )
    argv = [sys.executable, "-c", script, tmp_path]
    said = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert "oci:limited: no space left on the disk while writing blob weights" in said.stderr
    assert list((tmp_path / "limited" / ".uploads").iterdir()) == []
