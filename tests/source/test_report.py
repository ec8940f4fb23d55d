"""What a suite wrote of itself is read, and never trusted."""

import pytest

from tandem.source import Counts, TestCase
from tandem.source.report import CASES, bounded, from_junit, from_output

JUNIT = """<?xml version="1.0"?><testsuites><testsuite>
<testcase classname="t" name="a" time="0.5"/>
<testcase classname="t" name="b" time="x"><failure message="assert 1 == 2">long
text</failure></testcase>
<testcase name="c"><error>at setup</error></testcase>
<testcase classname="t" name="d" time="nan"><skipped message="later"/></testcase>
</testsuite></testsuites>"""


def test_junit_is_read_case_by_case(tmp_path):
    (tmp_path / "junit.xml").write_text(JUNIT)
    assert from_junit(tmp_path / "junit.xml") == (
        TestCase("t::a", "passed", 0.5),
        TestCase("t::b", "failed", 0.0, "assert 1 == 2"),
        TestCase("c", "error", 0.0, "at setup"),
        TestCase("t::d", "skipped", 0.0, "later"),
    )


@pytest.mark.parametrize(
    "content", ["", "<testcase", JUNIT.replace("<testsuites>", '<!DOCTYPE x [<!ENTITY a "aa">]><x>', 1)]
)
def test_what_is_not_junit_tells_nothing(tmp_path, content):
    (tmp_path / "junit.xml").write_text(content)
    assert from_junit(tmp_path / "junit.xml") == ()


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / "real.xml").write_text(JUNIT)
    (tmp_path / "junit.xml").symlink_to(tmp_path / "real.xml")
    assert from_junit(tmp_path / "junit.xml") == ()


def test_of_too_many_cases_the_failed_ones_stay():
    cases = [TestCase(str(number), "passed", 0.0) for number in range(CASES)] + [TestCase("bad", "failed", 0.0)]
    assert len(bounded(cases)) == CASES and bounded(cases)[0].name == "bad"
    assert bounded(cases[:3]) == tuple(cases[:3])


@pytest.mark.parametrize(
    ("output", "counts"),
    [
        ("==== 3 passed, 1 skipped in 0.12s ====", Counts(3, skipped=1)),
        ("1 failed, 2 passed, 1 xfailed, 2 warnings in 61.20s (0:01:01)", Counts(2, 1, 0, 1)),
        ("2 errors in 0.1s", Counts(errors=2)),
        ("no tests ran in 0.01s", Counts()),
        ("Ran 4 tests in 0.001s\n\nFAILED (failures=1, errors=1, skipped=1)", Counts(1, 1, 1, 1)),
        ("Ran 3 tests in 0.001s\n\nOK (skipped=3)", Counts(skipped=3)),
        ("Ran 0 tests in 0.000s\n\nNO TESTS RAN", Counts()),
        ("1..3\nok 1 - a\nnot ok 2 - b\nok 3 # SKIP c", Counts(1, 1, 0, 1)),
        ("2 passed in 0.1s\nRan 1 test in 0.1s\n\nOK", Counts(3)),
        ("ok 1 fine day\nI passed 3 exams in 2s", None),
    ],
)
def test_closing_lines_are_counted(output, counts):
    assert from_output(output) == counts
