"""What the app's tests did: the record, and how it is read from JUnit's XML or from closing lines."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal
from xml.parsers import expat

CaseOutcome = Literal["passed", "failed", "error", "skipped"]

HERE = "this machine"
CASES = 5000
MESSAGE = 2000  # characters
XML = 256 * 1024 * 1024  # bytes


@dataclass(frozen=True)
class TestCase:
    """One test: its name, what came of it, how many seconds it took, and why it failed or was skipped."""

    __test__ = False  # pytest takes a class of this name for tests

    name: str
    outcome: CaseOutcome
    seconds: float
    message: str = ""


@dataclass(frozen=True)
class Counts:
    """How many tests came to what."""

    passed: int = 0
    failed: int = 0
    errors: int = 0
    skipped: int = 0

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.errors} errors, {self.skipped} skipped"


@dataclass(frozen=True)
class SuiteReport:
    """What a run of the app's own tests came to: evidence of a candidate.

    `counts` is None where nothing told how many there were (the exit code judged). `cases` are at most CASES, failed
    ones first where there are more. `sandboxed`: whether they ran in bubblewrap, or in a container of the image; where
    that was: "this machine", or "docker 20.10.24".
    """

    command: str
    seconds: float
    sandboxed: bool
    counts: Counts | None = None
    cases: tuple[TestCase, ...] = ()
    where: str = HERE


def count(cases: Sequence[TestCase]) -> Counts:
    """The cases' outcomes, counted."""
    outcomes = [case.outcome for case in cases]
    return Counts(*(outcomes.count(outcome) for outcome in ("passed", "failed", "error", "skipped")))


def bounded(cases: Sequence[TestCase]) -> tuple[TestCase, ...]:
    """At most CASES of them; in their order, or failed ones first where some must go."""
    if len(cases) > CASES:
        cases = sorted(cases, key=lambda case: case.outcome not in ("failed", "error"))
    return tuple(cases[:CASES])


def interrupted(cases: Sequence[TestCase]) -> tuple[TestCase, ...]:
    """The cases of a suite that was ended: pytest writes the one under way last, nameless and as if passed."""
    if not cases or cases[-1].name:
        return tuple(cases)
    return (*cases[:-1], replace(cases[-1], name="(the test under way)", outcome="error", message="time limit"))


def from_junit(file: Path) -> tuple[TestCase, ...]:
    """The cases of a JUnit XML file; empty where there is none, or it is not what it should be.

    A document type is refused: tests wrote the file, and entities may be bombs. Memory is bounded by MESSAGE a case.
    """
    cases: list[TestCase] = []
    outcome: CaseOutcome = "passed"
    name, seconds, message, inside = "", 0.0, "", False

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal outcome, name, seconds, message, inside
        if tag == "testcase":
            words = (attributes.get("classname", ""), attributes.get("name", ""))
            name = "::".join(word for word in words if word)[:500]
            seconds, outcome, message = _seconds(attributes.get("time", "0")), "passed", ""
        elif tag in ("failure", "error", "skipped"):
            inside = True
            if outcome != "failed":
                outcome = "failed" if tag == "failure" else "error" if tag == "error" else "skipped"
            message = (message + attributes.get("message", ""))[:MESSAGE]

    def end(tag: str) -> None:
        nonlocal inside
        if tag == "testcase":
            cases.append(TestCase(name, outcome, seconds, message.strip()[:MESSAGE]))
        elif tag in ("failure", "error", "skipped"):
            inside = False

    def text(piece: str) -> None:
        nonlocal message
        if inside and not message:
            message = piece[:MESSAGE]

    def refuse(*_: object) -> None:
        raise ValueError("a document type in JUnit's XML")

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text
    parser.StartDoctypeDeclHandler = refuse
    try:
        if file.is_symlink() or file.stat().st_size > XML:
            return ()
        with file.open("rb") as content:
            parser.ParseFile(content)
    except (OSError, ValueError, expat.ExpatError):
        return ()
    return tuple(cases)


def _seconds(text: str) -> float:
    try:
        return round(max(0.0, min(float(text), 1e9)), 3)
    except ValueError:
        return 0.0


_PYTEST = re.compile(r"^=* ?(?:(\d+ [a-z]+(?:, \d+ [a-z]+)*)|no tests ran) in [\d.]+s(?: \([\d:, a-z]+\))? ?=*$")
_UNITTEST = re.compile(r"^Ran (\d+) tests? in [\d.]+s$")
_VERDICT = re.compile(r"^(?:OK|FAILED|NO TESTS RAN)(?: \((.*)\))?$")
_TAP = re.compile(r"^(not )?ok \d+\b(.*# SKIP)?", re.IGNORECASE)


def from_output(output: str) -> Counts | None:
    """The counts in the closing lines of pytest, unittest and TAP, added up; None where there are none."""
    found: list[Counts] = []
    lines = output.splitlines()
    tap = any(re.fullmatch(r"1\.\.\d+( .*)?", line) for line in lines)
    ran = None
    for line in lines:
        if match := _PYTEST.match(line):
            numbers = {word: int(number) for number, word in re.findall(r"(\d+) (\w+)", match[1] or "")}
            skipped = numbers.get("skipped", 0) + numbers.get("xfailed", 0)
            errors = numbers.get("error", 0) + numbers.get("errors", 0)
            passed = numbers.get("passed", 0) + numbers.get("xpassed", 0)
            found.append(Counts(passed, numbers.get("failed", 0), errors, skipped))
        elif match := _UNITTEST.match(line):
            ran = int(match[1])
        elif ran is not None and (match := _VERDICT.match(line)):
            words = {word: int(number) for word, number in re.findall(r"([a-z ]+)=(\d+)", match[1] or "")}
            words = {word.strip(): number for word, number in words.items()}
            failed = words.get("failures", 0) + words.get("unexpected successes", 0)
            errors, skipped = words.get("errors", 0), words.get("skipped", 0) + words.get("expected failures", 0)
            found.append(Counts(max(0, ran - failed - errors - skipped), failed, errors, skipped))
            ran = None
        elif tap and (match := _TAP.match(line)):
            found.append(Counts(failed=1) if match[1] else Counts(skipped=1) if match[2] else Counts(passed=1))
    if not found:
        return None
    return Counts(*(sum(getattr(one, what) for one in found) for what in ("passed", "failed", "errors", "skipped")))
