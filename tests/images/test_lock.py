from collections.abc import Callable
from pathlib import Path

import pytest

from tandem.errors import BuildFailed
from tandem.images.interpreter import Interpreter, this_interpreter
from tandem.images.lock import lock, resolve
from tandem.images.requirements import read

FUTURE = Interpreter("3.99.1", "linux", "aarch64", ("glibc", 2, 36))


def test_a_lock_names_every_wheel_and_is_itself_locked(wheel: Callable[..., str], tmp_path: Path) -> None:
    hello = wheel("hello", "1.0", metadata="Requires-Dist: Some_Words>=1\n")
    words = wheel("some_words", "2.0")
    (tmp_path / "requirements.in").write_text("hello\n")
    own = this_interpreter()
    locked = lock(tmp_path / "requirements.in", f"linux/{own.architecture}", own.minor)
    (tmp_path / "requirements.txt").write_text(locked)
    found = read(tmp_path / "requirements.txt", tmp_path)
    assert found.locked()
    assert [(line.requirement.name, line.hashes) for line in found.lines] == [
        ("hello", (hello,)),
        ("some-words", (words,)),
    ]


def test_markers_deep_down_are_those_of_the_image(wheel: Callable[..., str], tmp_path: Path) -> None:
    requires = [
        "shim ; python_version < '3.99'",
        "arm[fast] ; platform_machine == 'aarch64' and python_full_version > '3.99.0'",
        "never ; extra == 'never'",
    ]
    wheel("hello", "1.0", metadata="".join(f"Requires-Dist: {each}\n" for each in requires))
    wheel("shim", "1.0", metadata="Requires-Dist: below\n")
    wheel("below", "1.0")
    wheel("arm", "1.0", metadata="Provides-Extra: fast\nRequires-Dist: faster ; extra == 'fast'\n")
    wheel("faster", "1.0", tag="py3-none-manylinux_2_36_aarch64")
    (tmp_path / "requirements.txt").write_text("hello\n")
    lines = resolve(read(tmp_path / "requirements.txt", tmp_path), FUTURE, tmp_path)
    assert [line.requirement.name for line in lines] == ["arm", "faster", "hello"]


def test_a_package_without_a_wheel_is_named_with_what_to_do(wheelhouse: Path, tmp_path: Path) -> None:
    (wheelhouse / "old-1.0.tar.gz").write_bytes(b"a source distribution")
    (tmp_path / "requirements.txt").write_text("old\n")
    with pytest.raises(BuildFailed, match=r"no wheel of old for cpython-3\.99-linux-aarch64.*'pip wheel old'"):
        resolve(read(tmp_path / "requirements.txt", tmp_path), FUTURE, tmp_path)
