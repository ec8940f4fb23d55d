import csv
import hashlib
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tandem.errors import BuildFailed
from tandem.images.unpack import Tree

SITE = "lib/python3.11/site-packages"


@pytest.fixture
def unpacked(tmp_path: Path, wheelhouse: Path) -> Callable[[], Path]:
    """Every wheel of the wheelhouse, unpacked in the order of their names."""

    def run() -> Path:
        tree = Tree(tmp_path / "venv", "3.11")
        for file in sorted(wheelhouse.iterdir()):
            tree.unpack(file)
        return tree.folder

    return run


@pytest.mark.filterwarnings("ignore:Skip installing")
def test_every_kind_of_file_goes_where_pip_puts_it(wheel: Callable[..., str], unpacked: Callable[[], Path]) -> None:
    files = {
        "tool/__init__.py": "",
        "tool/native": b"\x7fELF",
        "tool-1.0.data/purelib/pure.py": "",
        "tool-1.0.data/platlib/plat.py": "",
        "tool-1.0.data/scripts/old": "#!python -u\nprint('old')\n",
        "tool-1.0.data/scripts/shell": "#!/bin/sh\necho shell\n",
        "tool-1.0.data/data/share/tool/words": "words",
        "tool-1.0.data/headers/tool.h": "",
        "tool/__pycache__/tool.cpython-311.pyc": b"hostile",
        "tool-1.0.dist-info/entry_points.txt": "[console_scripts]\ntool = tool.main:Cli.run [extra]\n",
    }
    wheel("tool", "1.0", files, executable=("tool/native",))
    venv = unpacked()
    found = {path.relative_to(venv).as_posix() for path in venv.rglob("*") if path.is_file()}
    info = {
        f"{SITE}/tool-1.0.dist-info/{name}" for name in ("METADATA", "WHEEL", "RECORD", "INSTALLER", "entry_points.txt")
    }
    library = {f"{SITE}/{name}" for name in ("tool/__init__.py", "tool/native", "pure.py", "plat.py")}
    others = {"bin/old", "bin/shell", "bin/tool", "share/tool/words", "include/site/python3.11/tool/tool.h"}
    assert found == info | library | others
    assert {name for name in found if os.access(venv / name, os.X_OK)} == {
        *("bin/old", "bin/shell", "bin/tool", f"{SITE}/tool/native"),
    }
    assert (venv / "bin/shell").read_text() == "#!/bin/sh\necho shell\n"
    assert "from tool.main import Cli\n" in (venv / "bin/tool").read_text()
    rows = list(csv.reader((venv / SITE / "tool-1.0.dist-info/RECORD").read_text().splitlines()))
    assert {os.path.normpath(f"{SITE}/{row[0]}") for row in rows} == found
    assert all(int(row[2]) == (venv / SITE / row[0]).stat().st_size for row in rows if row[2])


def test_a_script_finds_the_python_beside_it_wherever_the_tree_is_moved_to(
    wheel: Callable[..., str], unpacked: Callable[[], Path], tmp_path: Path
) -> None:
    main = "import sys\ndef main():\n    print(sys.argv, sys.executable)\n"
    files = {"tool.py": main, "tool-1.0.data/scripts/old": "#!python\nimport tool; tool.main()\n"}
    wheel("tool", "1.0", {**files, "tool-1.0.dist-info/entry_points.txt": "[console_scripts]\nnew = tool:main\n"})
    moved = unpacked().rename(tmp_path / "a folder with spaces")
    (moved / "bin" / "python").symlink_to(sys.executable)
    (tmp_path / "linked").symlink_to(moved / "bin" / "new")
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(moved / SITE)}
    for script in (moved / "bin" / "new", moved / "bin" / "old", tmp_path / "linked"):
        done = subprocess.run([script, "--a", "b c"], env=env, capture_output=True, text=True, check=True)
        assert done.stdout.startswith(f"['{script}', '--a', 'b c'] {moved}/bin/python")


def test_what_two_wheels_hold_is_the_later_ones_as_with_pip(
    wheel: Callable[..., str], unpacked: Callable[[], Path]
) -> None:
    wheel("a", "1", {"shared.py": "a"})
    wheel("b", "1", {"shared.py": "b"})
    assert (unpacked() / SITE / "shared.py").read_text() == "b"


@pytest.mark.parametrize(
    "path",
    [
        "../../../../evil.py",
        "/etc/evil",
        "x/../../evil.py",
        "evil-1.0.data/data/../../evil",
        "evil-1.0.data/data/bin/python",
        "evil-1.0.data/scripts/python3.11",
        "evil-1.0.data/data/pyvenv.cfg",
        "evil-1.0.data/data/requirements.lock",
        "evil-1.0.data/elsewhere/evil",
        "a\\..\\evil.py",
        "line\nbreak.py",
    ],
)
def test_a_hostile_path_is_refused(
    wheel: Callable[..., str], unpacked: Callable[[], Path], tmp_path: Path, path: str
) -> None:
    wheel("evil", "1.0", {path: "evil"})
    with pytest.raises(BuildFailed, match=r"evil-1\.0"):
        unpacked()
    assert not [file for file in tmp_path.rglob("*") if file.is_file() and file.read_bytes() == b"evil"]


@pytest.mark.parametrize("script", ["../../evil", "/evil", "python", "python3", "a/../../evil"])
def test_a_hostile_entry_point_is_refused(
    wheel: Callable[..., str], unpacked: Callable[[], Path], tmp_path: Path, script: str
) -> None:
    wheel("evil", "1.0", {"evil-1.0.dist-info/entry_points.txt": f"[console_scripts]\n{script} = evil:main\n"})
    with pytest.raises(BuildFailed, match="refused"):
        unpacked()
    assert not list(tmp_path.rglob("evil"))


def test_a_file_in_one_wheel_and_a_folder_in_another_are_told_apart(
    wheel: Callable[..., str], unpacked: Callable[[], Path]
) -> None:
    wheel("a", "1", {"shared": "a file"})
    wheel("b", "1", {"shared/inner.py": ""})
    with pytest.raises(BuildFailed, match=r"shared is a file in one wheel, a folder in another"):
        unpacked()


def test_a_damaged_wheel_is_refused_by_name(
    wheelhouse: Path, wheel: Callable[..., str], unpacked: Callable[[], Path]
) -> None:
    wheel("fine", "1.0", {"fine.py": "x" * 5000})
    file = wheelhouse / "fine-1.0-py3-none-any.whl"
    file.write_bytes(file.read_bytes().replace(b"x" * 100, b"y" * 100))
    with pytest.raises(BuildFailed, match=r"fine-1\.0-py3-none-any\.whl is no wheel"):
        unpacked()


def test_a_wheel_without_its_metadata_is_refused(wheelhouse: Path, unpacked: Callable[[], Path]) -> None:
    with zipfile.ZipFile(wheelhouse / "odd-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr("odd.py", hashlib.sha256(b"").hexdigest())
    with pytest.raises(BuildFailed, match=r"odd-1\.0"):
        unpacked()
