"""The app's own tests are run as they are, and what they did is told."""

import json

import pytest

from tandem import documents
from tandem.errors import SuiteFailed
from tandem.source import Counts, SuiteReport

PASSES = "import unittest\nclass T(unittest.TestCase):\n    def test_it(self): pass\n"
PYTEST = {"command": "python -m pytest -q", "requirements": ("tests.txt",)}


def test_a_suite_that_passes_is_told_test_by_test_and_leaves_the_commit_as_it_was(bench):
    bench.write(
        tests_txt="pytest\n",
        test_it_py="import pytest\ndef test_one(): pass\n@pytest.mark.skip('later')\ndef test_two(): pass\n",
    )
    told = bench.run(**PYTEST)
    assert told.counts == Counts(passed=1, skipped=1)
    assert [(case.name, case.outcome, case.message) for case in told.cases] == [
        ("test_it::test_one", "passed", ""),
        ("test_it::test_two", "skipped", "later"),
    ]
    assert told.sandboxed == (bench.said[0] == "the app's tests run in bubblewrap")
    assert sorted(path.name for path in bench.folder.iterdir()) == ["test_it.py", "tests.txt"]
    assert documents.load(SuiteReport, documents.dump(told)) == told


def test_a_suite_that_fails_names_its_failing_tests_and_its_last_words(bench):
    bench.write(
        tests_txt="pytest\n",
        test_it_py="import pytest\n@pytest.mark.parametrize('n', range(12))\n"
        "def test_bad(n): assert n == 11, 'wrong word'\n",
    )
    with pytest.raises(SuiteFailed, match=r"failed .exit code 1.*\n1 passed, 11 failed") as failure:
        bench.run(**PYTEST | {"command": "pytest"})
    assert "failing: test_it::test_bad[0], " in str(failure.value) and "and 1 more\n" in str(failure.value)
    assert "AssertionError: wrong word" in str(failure.value)
    assert failure.value.report.counts == Counts(passed=1, failed=11)
    assert "wrong word" in "\n".join(bench.said)


def test_the_app_may_write_its_own_junit_and_its_counts_are_still_known(bench):
    bench.write(tests_txt="pytest\n", test_it_py="def test_one(): pass\n")
    told = bench.run(**PYTEST | {"command": "pytest --junitxml=own.xml"})
    assert (told.counts, told.cases) == (Counts(passed=1), ())


@pytest.mark.parametrize(
    ("command", "content"),
    [
        ("python -m pytest -q", "def helper(): pass\n"),
        ("python -m pytest -q", "import pytest\n@pytest.mark.skip\ndef test_it(): pass\n"),
        ("python -m pytest --collect-only", "def test_it(): pass\n"),
        ("python -m unittest", ""),
        ("python -m unittest", PASSES.replace("    def", "    @unittest.skip('x')\n    def")),
    ],
)
def test_no_test_executed_is_a_failure(bench, command, content):
    bench.write(tests_txt="pytest\n", test_it_py=content)
    with pytest.raises(SuiteFailed, match="executed no test"):
        bench.run(command=command, requirements=("tests.txt",))


def test_unittest_is_counted_by_its_closing_lines(bench):
    bench.write(test_it_py=PASSES + "    def test_bad(self): self.fail('wrong word')\n")
    with pytest.raises(SuiteFailed, match=r"(?s)1 passed, 1 failed.*wrong word"):
        bench.run()


def test_a_script_is_judged_by_its_exit_code(bench):
    bench.write(check_py="import sys; print('all fine'); sys.exit(int(sys.argv[1]))\n")
    told = bench.run(command=("python", "check.py", "0"))
    assert (told.counts, told.cases, bench.said[-1]) == (None, (), "all fine")
    with pytest.raises(SuiteFailed, match=r"failed .exit code 3.: python check.py 3\nlast lines:\nall fine"):
        bench.run(command="python check.py 3")


def test_the_command_is_never_given_to_a_shell(bench):
    bench.write(check_py="import json, sys; print(json.dumps(sys.argv[1:]))\n")
    bench.run(command="python check.py '$(id)' '; id' `id`")
    assert json.loads(bench.said[-1]) == ["$(id)", "; id", "`id`"]


def test_the_model_is_in_model_dir_when_the_suite_asks_for_it(bench, tmp_path):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "model.onnx").write_text("weights")
    bench.write(
        check_py="import os, pathlib; print((pathlib.Path(os.environ['MODEL_DIR']) / 'model.onnx').read_text())\n"
    )
    bench.run(str(tmp_path / "kept"), command="python check.py", model=True)
    assert bench.said[-1] == "weights"
    with pytest.raises(SuiteFailed, match="KeyError: 'MODEL_DIR'"):
        bench.run(str(tmp_path / "kept"), command="python check.py")


@pytest.mark.parametrize(
    ("command", "remedy"),
    [
        ("pytest", "pytest is not among test.requirements"),
        ("python -m pytest", "pytest is not among test.requirements"),
        ("nowhere --now", "no program 'nowhere'"),
        ("python 'unclosed", "cannot be split into words"),
        ("", "test.command is empty"),
    ],
)
def test_a_command_that_cannot_begin_says_what_to_do(bench, command, remedy):
    with pytest.raises(SuiteFailed, match=remedy):
        bench.run(command=command)
