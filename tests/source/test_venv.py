"""The tests' virtual environment is made once for the same requirements, whatever happens to who makes it."""

import multiprocessing
import os
import signal
import threading
import zipfile
from pathlib import Path

import pytest

from tandem.errors import SuiteFailed
from tandem.source.requirements import read

CHECK = "import tiny; print(tiny.WORD, tiny.__file__)\n"
no_walls = pytest.mark.parametrize("surroundings", ["no walls"], indirect=True)


def wheel(folder: Path, word: str = "tiny", setup: str = "") -> None:
    """A wheel as small as they come, made by hand."""
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / "tiny-1-py3-none-any.whl", "w") as archive:
        archive.writestr("tiny.py", f"WORD = {word!r}\n{setup}")
        archive.writestr("tiny-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1\n")
        archive.writestr("tiny-1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("tiny-1.dist-info/RECORD", "")


@pytest.fixture
def wheels(bench, tmp_path) -> Path:
    """An index of one package, and a home of this test alone."""
    wheel(tmp_path / "wheels")
    bench.surroundings |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "wheels")}
    bench.home = tmp_path / "home"
    bench.write(tests_txt="tiny==1\n", check_py=CHECK)
    return tmp_path / "wheels"


def made(bench) -> int:
    return sum("installing" in line for line in bench.said)


def test_an_environment_is_made_once_by_two_at_once_and_kept_until_its_requirements_change(bench, wheels):
    settings = {"command": "python check.py", "requirements": ("tests.txt",)}
    threads = [threading.Thread(target=bench.run, kwargs=settings) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made(bench) == 1 and sum(line.startswith("tiny ") for line in bench.said) == 2
    assert "another run is making the same virtual environment: waiting for it" in bench.said
    (environment,) = (bench.home / "venvs").glob("*/")
    (environment / "tandem-complete").unlink()
    (environment / "half-made").touch()
    bench.run(**settings)
    assert made(bench) == 2 and not (environment / "half-made").exists()


@no_walls
def test_an_environment_whose_maker_was_killed_is_made_anew(bench, wheels):
    settings = {"command": "python check.py", "requirements": ("tests.txt",)}
    flow = multiprocessing.get_context("fork").Process(target=bench.run, kwargs=settings)
    bench_said = bench.home / "said"
    bench.home.mkdir()

    def stop_at_pip(line: str) -> None:
        if "installing" in line:
            bench_said.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    told, bench.said = bench.said, type("Said", (), {"append": staticmethod(stop_at_pip)})()
    flow.start()
    flow.join()
    bench.said = told
    assert bench_said.exists() and list((bench.home / "venvs").glob("*/"))
    bench.run(**settings)
    assert made(bench) == 1 and bench.said[-1].startswith("tiny ")


@no_walls
def test_what_is_installed_from_the_commit_itself_is_no_other_runs(bench, wheels):
    wheel(bench.folder / "lib", "mine")
    bench.write(tests_txt="./lib/tiny-1-py3-none-any.whl\n")
    bench.run(command="python check.py", requirements=("tests.txt",))
    assert bench.said[-1].startswith("mine ") and not (bench.home / "venvs").exists()


@no_walls
def test_requirements_that_cannot_be_installed_say_which_and_why(bench, wheels):
    bench.write(tests_txt="absent==1\n")
    with pytest.raises(SuiteFailed, match=r"(?s)test.requirements tests.txt could not be installed.*absent==1"):
        bench.run(requirements=("tests.txt",))


def test_the_digest_follows_files_that_files_name(tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "tests.txt").write_text("-r more/base.txt\npytest\n--constraint=limits.txt\n")
    (tmp_path / "more/base.txt").write_text("flask\n-r ../tests.txt  # round and round\n")
    (tmp_path / "limits.txt").write_text("flask<4\n")
    before = read(tmp_path, ["tests.txt"]).digest
    assert read(tmp_path, ["tests.txt"]).digest == before
    for file in ("more/base.txt", "limits.txt", "tests.txt"):
        (tmp_path / file).write_text((tmp_path / file).read_text() + "# changed\n")
        assert read(tmp_path, ["tests.txt"]).digest != before
        before = read(tmp_path, ["tests.txt"]).digest


@pytest.mark.parametrize(
    "line", ["-e .", ".", "./lib", "../lib", ".[dev]", "file:lib", "tiny @ file:///x", "--editable=lib"]
)
def test_a_requirement_of_the_commit_itself_is_known(tmp_path, line):
    (tmp_path / "tests.txt").write_text(f"flask>=3  # the web\n{line}\n")
    assert read(tmp_path, ["tests.txt"]).local


def test_ordinary_requirements_belong_to_every_commit(tmp_path):
    lines = [
        "flask==3.1 \\",
        "    --hash=sha256:00",
        "uvicorn[standard]>=0.30",
        "--extra-index-url https://x/simple",
        ".5",
    ]
    (tmp_path / "tests.txt").write_text("\n".join(lines[:-1]))
    assert not read(tmp_path, ["tests.txt"]).local


@pytest.mark.parametrize(("name", "why"), [("absent.txt", "cannot be read"), ("link.txt", "lies outside")])
def test_a_requirements_file_that_is_absent_or_leads_out_is_refused(tmp_path, name, why):
    (tmp_path / "app").mkdir()
    (tmp_path / "secret").write_text("s3cret")
    (tmp_path / "app/link.txt").symlink_to(tmp_path / "secret")
    with pytest.raises(SuiteFailed, match=f"{name} {why}"):
        read(tmp_path / "app", [name])
