"""What came of a suite, wherever it ran: the words of its command, and whether it has passed."""

import shlex
from collections.abc import Mapping
from pathlib import Path

from tandem.errors import SuiteFailed
from tandem.run import Finished
from tandem.settings import SuiteSettings
from tandem.source import report as reports
from tandem.source.report import HERE, SuiteReport


def judged(settings: SuiteSettings, finished: Finished, junit: Path, sandboxed: bool, where: str = HERE) -> SuiteReport:
    """The report of a suite that has ended; `junit` is what it wrote of its tests, where it did.

    Raises SuiteFailed where a test failed, the time limit was over, or no test was executed.
    """
    argv = words(settings.command)
    cases = reports.from_junit(junit)
    if finished.timed_out:
        cases = reports.interrupted(cases)
    counts = reports.count(cases) if cases else reports.from_output(finished.output)
    seconds = round(finished.seconds, 3)
    told = SuiteReport(shlex.join(argv), seconds, sandboxed, counts, reports.bounded(cases), where)
    reason = why_not(finished, told, tells_junit(argv))
    if finished.timed_out:
        reason = f"were not done in {settings.time_limit:g} s and were ended (test.time_limit)"
    if reason:
        raise SuiteFailed(_message(reason, told, finished), told)
    return told


def telling(argv: tuple[str, ...], env: Mapping[str, str], junit: str) -> dict[str, str]:
    """The environment in which pytest writes JUnit's XML to `junit`; unchanged for another command."""
    if not tells_junit(argv):
        return dict(env)
    return {**env, "PYTEST_ADDOPTS": f"{env.get('PYTEST_ADDOPTS', '')} --junitxml={shlex.quote(junit)}".strip()}


def words(command: str | tuple[str, ...]) -> tuple[str, ...]:
    """[test].command as words: split as a shell would, and never given to one. Raises SuiteFailed."""
    try:
        argv = tuple(shlex.split(command)) if isinstance(command, str) else command
    except ValueError as error:
        raise SuiteFailed(f"test.command {command!r} cannot be split into words: {error}") from None
    if not argv or not argv[0]:
        raise SuiteFailed("test.command is empty: name the command that runs the tests")
    return argv


def tells_junit(argv: tuple[str, ...]) -> bool:
    """Whether this is pytest, which takes options by PYTEST_ADDOPTS."""
    return any(Path(word).name in ("pytest", "py.test") for word in argv)


def why_not(finished: Finished, told: SuiteReport, is_pytest: bool) -> str | None:
    """Why the tests have not passed, or None where they have."""
    counts = told.counts
    if "No module named pytest" in finished.output and not told.cases:
        return "did not begin: pytest is not among test.requirements"
    executed = None if counts is None else counts.passed + counts.failed + counts.errors
    if executed == 0 or (is_pytest and (finished.code == 5 or (executed is None and finished.code == 0))):
        return "executed no test: that is no success (check test.command)"
    if finished.code:
        return f"failed (exit code {finished.code})"
    if told.cases and counts and counts.failed + counts.errors:
        return "failed, though the exit code was 0"
    return None


def _message(reason: str, told: SuiteReport, finished: Finished) -> str:
    """Counts, the names of ten failing tests, and the last lines of the output."""
    failing = [case.name for case in told.cases if case.outcome in ("failed", "error")]
    more = f" and {len(failing) - 10} more" if len(failing) > 10 else ""
    lines = [f"the app's tests {reason}: {told.command}"]
    lines += [f"{told.counts}"] if told.counts else []
    lines += [f"failing: {', '.join(failing[:10])}{more}"] if failing else []
    return "\n".join([*lines, "last lines:", *finished.output.splitlines()[-40:]])
