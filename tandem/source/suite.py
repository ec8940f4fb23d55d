"""The app's own tests, run on a copy of the commit that the image is not built from."""

import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path

from tandem.errors import SuiteFailed
from tandem.records import Source
from tandem.run import Finished, Say, run
from tandem.settings import SuiteSettings
from tandem.source import report as reports
from tandem.source import surroundings
from tandem.source.folders import private_temporary, run_folder
from tandem.source.report import SuiteReport
from tandem.source.requirements import read
from tandem.source.sandbox import View, bubblewrap, processes_allowed
from tandem.source.supervise import TIMED_OUT
from tandem.source.venv import Workshop, virtual_environment

NO_WALLS = (
    "the app's tests run without a sandbox: that is hygiene, not isolation "
    "(bubblewrap is not installed, or not allowed to work here; Debian: apt install bubblewrap)"
)


def run_suite(
    source: Source, settings: SuiteSettings, home: Path, model: str | None, say: Say, variables: Mapping[str, str]
) -> SuiteReport:
    """Run [test].command on the commit; returns what its tests did.

    `home` is Settings.home; `model` the folder for MODEL_DIR; `say` gets the output in batches of lines. `variables`
    is the environment to choose from: PATH, language, pip's settings for pip, and those that [test].variables names.
    Raises SuiteFailed where a test fails, the time limit is over, or no test was executed; Unreachable where the
    package index does not answer.
    """
    bwrap = bubblewrap(variables)
    say("the app's tests run in bubblewrap" if bwrap else NO_WALLS)
    for name in settings.variables:
        if name not in variables:
            say(f"test.variables: {name} is not set here")
    with run_folder(home / "worktrees" if bwrap else private_temporary(), "tests") as scratch:
        tree = scratch / "tree"
        shutil.copytree(source.folder, tree, symlinks=True)
        for name in ("home", "tmp", "out"):
            (scratch / name).mkdir()
        workshop = Workshop(home, scratch, tree, variables, bwrap, say)
        with virtual_environment(workshop, read(tree, settings.requirements)) as venv:
            return _run(workshop, settings, venv, model if settings.model else None)


def _run(workshop: Workshop, settings: SuiteSettings, venv: Path, model: str | None) -> SuiteReport:
    argv = words(settings.command)
    scratch = workshop.scratch
    env = surroundings.for_tests(workshop.surroundings, settings.variables, venv, scratch, workshop.temporary, model)
    junit = scratch / "out" / "junit.xml"
    if tells_junit(argv):
        env["PYTEST_ADDOPTS"] = f"{env.get('PYTEST_ADDOPTS', '')} --junitxml={shlex.quote(str(junit))}".strip()
        if argv[0] == "pytest" and not (venv / "bin/pytest").exists():
            raise SuiteFailed("pytest is not among test.requirements: name a requirements file that holds it")
    if "/" not in argv[0] and shutil.which(argv[0], path=env["PATH"]) is None:
        raise SuiteFailed(
            f"test.command: there is no program {argv[0]!r}, neither installed by test.requirements nor here"
        )
    readable = (venv, Path(model)) if model else (venv,)
    view = View(workshop.tree, scratch / "tmp", scratch / "home", readable, (workshop.tree, scratch / "out"))
    command = workshop.command(argv, env, settings.time_limit, view, processes_allowed())
    finished = run(command, workshop.say)
    late = finished.timed_out or (finished.code == TIMED_OUT and finished.seconds >= settings.time_limit)
    cases = reports.interrupted(reports.from_junit(junit)) if late else reports.from_junit(junit)
    counts = reports.count(cases) if cases else reports.from_output(finished.output)
    told = SuiteReport(
        shlex.join(argv), round(finished.seconds, 3), workshop.bwrap is not None, counts, reports.bounded(cases)
    )
    reason = why_not(finished, told, tells_junit(argv))
    if late:
        reason = f"were not done in {settings.time_limit:g} s and were ended (test.time_limit)"
    if reason:
        raise SuiteFailed(_message(reason, told, finished), told)
    return told


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
