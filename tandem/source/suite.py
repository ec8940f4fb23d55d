"""The app's own tests, run on a copy of the commit that the image is not built from."""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tandem.errors import SuiteFailed
from tandem.records import Source
from tandem.run import Say, run
from tandem.settings import SuiteSettings
from tandem.source import surroundings
from tandem.source.folders import private_temporary, run_folder
from tandem.source.report import SuiteReport
from tandem.source.requirements import read
from tandem.source.sandbox import View, bubblewrap, processes_allowed
from tandem.source.supervise import TIMED_OUT
from tandem.source.venv import Workshop, virtual_environment
from tandem.source.verdict import judged, telling, tells_junit, words

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
    asked = surroundings.asked(settings.variables, variables, say)
    with run_folder(home / "worktrees" if bwrap else private_temporary(), "tests") as scratch:
        tree = scratch / "tree"
        shutil.copytree(source.folder, tree, symlinks=True)
        for name in ("home", "tmp", "out"):
            (scratch / name).mkdir()
        workshop = Workshop(home, scratch, tree, variables, bwrap, say)
        with virtual_environment(workshop, read(tree, settings.requirements)) as venv:
            return _run(workshop, settings, venv, asked, model if settings.model else None)


def _run(
    workshop: Workshop, settings: SuiteSettings, venv: Path, asked: Mapping[str, str], model: str | None
) -> SuiteReport:
    argv = words(settings.command)
    scratch = workshop.scratch
    env = surroundings.for_tests(workshop.surroundings, asked, venv, scratch, workshop.temporary, model)
    junit = scratch / "out" / "junit.xml"
    env = telling(argv, env, str(junit))
    if tells_junit(argv) and argv[0] == "pytest" and not (venv / "bin/pytest").exists():
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
    return judged(settings, replace(finished, timed_out=late), junit, workshop.bwrap is not None)
