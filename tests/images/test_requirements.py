from pathlib import Path

import pytest

from tandem.errors import BuildFailed
from tandem.images.interpreter import Interpreter
from tandem.images.requirements import Requirements, read

PY311 = Interpreter("3.11.7", "linux", "x86_64", ("glibc", 2, 36))
PY312 = Interpreter("3.12.1", "linux", "aarch64", ("glibc", 2, 31))
A, B = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"


def parsed(tmp_path: Path, text: str, **others: str) -> Requirements:
    for name, content in {"requirements.txt": text, **others}.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    return read(tmp_path / "requirements.txt", tmp_path)


def names(requirements: Requirements, interpreter: Interpreter = PY311) -> list[str]:
    return [line.text for line in requirements.applying(interpreter)]


def test_lines_are_joined_and_comments_go(tmp_path: Path) -> None:
    text = f"# a lock\nFlask_X[async] == 3.1 \\\n    --hash={B} \\\n  --hash={A}  # why\n\n\ufeff".replace("\ufeff", "")
    requirements = parsed(tmp_path, "\ufeff" + text)
    assert names(requirements) == [f"flask-x[async]==3.1 --hash={A} --hash={B}"]
    assert requirements.locked()


def test_markers_are_evaluated_for_the_image_and_not_for_this_machine(tmp_path: Path) -> None:
    text = (
        "numpy==2.4 ; python_full_version < '3.12'\nnumpy==2.5 ; python_version >= '3.12'\n"
        "cuda==1 ; platform_machine == 'x86_64' and sys_platform == 'linux'\nwin==1 ; os_name == 'nt'\n"
    )
    requirements = parsed(tmp_path, text)
    assert names(requirements, PY311) == ["cuda==1", "numpy==2.4"]
    assert names(requirements, PY312) == ["numpy==2.5"]


def test_included_files_and_constraints_are_followed_from_where_they_stand(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "base.txt").write_text("-r deep.txt\nflask\n")
    (tmp_path / "more" / "deep.txt").write_text("numpy\n--index-url https://ada:secret@example.org/simple\n")
    requirements = parsed(tmp_path, "-r more/base.txt\n-cbounds.txt", **{"bounds.txt": "flask<4\n"})
    assert names(requirements) == ["flask", "numpy"]
    assert [line.text for line in requirements.constraining(PY311)] == ["flask<4"]
    assert requirements.options == ("--index-url https://ada:secret@example.org/simple",)
    assert "secret" not in repr(requirements)


def test_a_folder_of_wheels_in_the_repository_is_found_from_the_file_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "my wheels").mkdir()
    assert parsed(tmp_path, "--find-links './my wheels'").options == (f"--find-links '{tmp_path}/my wheels'",)


def test_an_unlocked_file_is_unlocked_and_a_half_locked_one_is_refused_by_name(tmp_path: Path) -> None:
    assert not parsed(tmp_path, "flask==3\nnumpy>2").locked()
    assert not parsed(tmp_path, "flask==3").locked()
    assert parsed(tmp_path, f"flask==3 --hash={A}").locked()
    for text in (f"flask==3 --hash={A}\nnumpy==2", f"flask>=3 --hash={A}", f"flask==3.* --hash={A}", "-r x\n"):
        with pytest.raises(BuildFailed, match=r"requirements\.txt:\d|x in the commit"):
            parsed(tmp_path, text).locked()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("-e .", "editable"),
        ("--editable=./lib", "editable"),
        ("git+https://example.org/x.git", "wheel"),
        ("x @ git+https://example.org/x.git", "wheel"),
        ("./lib", "path"),
        ("dist/x-1.0-py3-none-any.whl", "path"),
        ("x @ file:///lib/x-1.0-py3-none-any.whl", "wheel"),
        ("x @ https://example.org/x-1.0.tar.gz", "wheel"),
        ("x @ https://ada:secret@example.org/x-1.0-py3-none-any.whl", "netrc"),
        ("-r ../outside.txt", "outside"),
        ("-r requirements.txt", "itself"),
        ("-r https://example.org/r.txt", "commit the file"),
        ("flask ==", "no requirement"),
        ("--target=/", "--target"),
        ("--index-url https://${HOME}@example.org/simple", r"\$\{HOME\} is not put in.*PIP_INDEX_URL.*netrc"),
        ("-f https://example.org/${http_proxy}", r"\$\{http_proxy\} is not put in"),
        ("-f https://example.org/${HO\\\nME}", "is not put in"),
        ("-r ${HOME}", r"\$\{HOME\} is not put in"),
        ("flask==${HOME}", r"\$\{HOME\} is not put in"),
        ("-i https://${PIP_NOT_SET_HERE}@example.org", r"\$\{PIP_NOT_SET_HERE\} is not set"),
        ("x @ https://example.org/${PIP_TOLD}/x-1.0-py3-none-any.whl", "would stand in the image"),
        ("https://example.org/${PIP_TOLD}/x-1.0-py3-none-any.whl", "would stand in the image"),
        ("${PIP_ADDRESS}", "would stand in the image"),
        ("flask==${PIP_TOLD}=", "no requirement"),
    ],
)
def test_what_cannot_be_in_an_image_is_refused_with_its_line(
    tmp_path: Path, line: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_TOLD", "secret==")
    monkeypatch.setenv("PIP_ADDRESS", "x @ https://example.org/secret/x-1.0-py3-none-any.whl")
    with pytest.raises(BuildFailed, match=says) as failed:
        parsed(tmp_path, f"flask\n{line}\n")
    assert "requirements.txt" in str(failed.value) or "outside.txt" in str(failed.value)
    assert "secret" not in str(failed.value)
