"""What an app's tests need beside its image's packages: for the image's Python, and nothing that it holds itself."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tandem.errors import BuildFailed
from tandem.images.beside import beside
from tandem.images.interpreter import Inhabitant, Interpreter

THERE = Interpreter("3.99.1", "linux", "aarch64", ("glibc", 2, 36))


def made(root: Path, holds: dict[str, str], *requirements: str) -> list[str]:
    """The modules that come beside an image that holds these versions."""
    (root / "tests.txt").write_text("".join(f"{line}\n" for line in requirements))
    with beside(Inhabitant("/venv/bin/python", THERE, holds), ["tests.txt"], root, root / "cache") as tree:
        return sorted(file.name for file in (tree / "lib/python3.99/site-packages").glob("*.*") if file.is_file())


def test_what_the_image_holds_decides_what_comes_and_does_not_come_again(
    wheel: Callable[..., str], tmp_path: Path
) -> None:
    wheel("checks", "1.0", metadata="Requires-Dist: words\nRequires-Dist: fast\n")
    wheel("words", "1.0")
    wheel("words", "2.0")
    wheel("fast", "1.0", tag="py3-none-manylinux_2_36_aarch64")
    assert made(tmp_path, {"words": "1.0", "odd": "no version"}, "checks", "words>=1") == ["checks.py", "fast.py"]
    wheel("checks", "2.0", metadata="Requires-Dist: words>=2\n")
    with pytest.raises(BuildFailed, match="conflicting"):
        made(tmp_path, {"words": "1.0"}, "checks>=2")


def test_where_all_is_there_nothing_comes(wheel: Callable[..., str], tmp_path: Path) -> None:
    assert made(tmp_path, {"words": "1.0"}, "Words==1.0 --hash=sha256:" + "0" * 64) == []


def test_another_version_than_the_images_is_refused(wheel: Callable[..., str], tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match=r"tests\.txt:1 asks for words==2, and the image holds words 1\.0"):
        made(tmp_path, {"words": "1.0"}, "words==2")
