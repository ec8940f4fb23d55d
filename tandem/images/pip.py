"""pip as a program: wheels for the image's platform, and nothing of an index's secrets in what is shown.

The user's own pip.conf, netrc and PIP_* variables are pip's to read: that is how a private index works. No other
secret of this process is in pip's environment, and only options may still hold a ${PIP_…} for pip to fill in. Options
of a requirements file reach pip in a file that only its owner reads, never by argv.
"""

import os
import re
import sys
from pathlib import Path

from tandem import pip_environment, run
from tandem.errors import BuildFailed, TandemError, Unreachable
from tandem.images.interpreter import Interpreter
from tandem.images.requirements import Line, Requirements

TIME_LIMIT = 1800.0
WHEELS = ("--only-binary=:all:", "--no-input", "--progress-bar=off", "--disable-pip-version-check", "--quiet")

# What pip and its Python need beside its own settings; nothing here is secret.
PLAIN = frozenset(("PATH", "LANG", "TZ", "HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_DIRS", "LD_LIBRARY_PATH"))

# What a pip.conf or the environment may say for another purpose, and what would send wheels elsewhere.
OURS = {"PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0", "PIP_NO_COLOR": "1", "PYTHONWARNINGS": "ignore"}
NOT_OURS = frozenset(
    f"PIP_{option}"
    for option in (
        *("TARGET", "PREFIX", "ROOT", "DEST", "REPORT", "DRY_RUN", "QUIET", "VERBOSE", "LOG"),
        *("PLATFORM", "PYTHON_VERSION", "IMPLEMENTATION", "ABI", "NO_BINARY", "REQUIREMENT", "EDITABLE", "NO_DEPS"),
    )
)

UNANSWERED = re.compile(
    r"connection broken by|connection error|Connection aborted|Max retries|timed out|"
    r"(429|5\d\d) (Client|Server) Error|HTTP error (429|5\d\d)"
)
REFUSED = re.compile(r"40[13] Client Error|HTTP error 40[13]")


def download(lines: tuple[Line, ...], requirements: Requirements, interpreter: Interpreter, scratch: Path) -> Path:
    """Put the wheel of every locked line into a folder below `scratch`, its hash checked by pip; that folder.

    Raises BuildFailed with pip's reason, Unreachable where the index did not answer.
    """
    folder = scratch / "wheels"
    folder.mkdir()
    if lines:
        hashed = ("--require-hashes", "--no-deps", "--dest", str(folder))
        _pip(("download", *WHEELS, *hashed, *_platform(interpreter)), requirements, lines, (), interpreter, scratch)
    return folder


def report(lines: tuple[Line, ...], requirements: Requirements, interpreter: Interpreter, scratch: Path) -> str:
    """What pip would install there for unlocked lines: its installation report, JSON. Raises as `download`."""
    file = scratch / "report.json"
    where = ("--ignore-installed", "--dry-run", "--report", str(file), "--target", str(scratch / "target"))
    bounds = requirements.constraining(interpreter)
    _pip(("install", *WHEELS, *where, *_platform(interpreter)), requirements, lines, bounds, interpreter, scratch)
    return file.read_text(encoding="utf-8")


def _platform(interpreter: Interpreter) -> tuple[str, ...]:
    """This machine's own wheels where the image runs on its interpreter, else those of the image's platform."""
    if interpreter.host:
        return ()
    tags = (word for tag in interpreter.platforms() for word in ("--platform", tag))
    return ("--implementation", "cp", "--python-version", interpreter.version, *tags)


def _pip(
    arguments: tuple[str, ...],
    requirements: Requirements,
    lines: tuple[Line, ...],
    constraints: tuple[Line, ...],
    for_: Interpreter,
    scratch: Path,
) -> None:
    file, bounds = scratch / "requirements.txt", scratch / "constraints.txt"
    file.write_text("\n".join((*requirements.options, *map(_plain, lines))), encoding="utf-8")
    bounds.write_text("\n".join(map(_plain, constraints)), encoding="utf-8")
    argv = (sys.executable, "-m", "pip", *arguments, "--requirement", str(file), "--constraint", str(bounds))
    log = scratch / "pip.log"  # only there does pip say why an address of an index gave nothing
    finished = run.run(run.Command((*argv, "--log", str(log)), _environment(), cwd=str(scratch), time_limit=TIME_LIMIT))
    if finished.code or finished.timed_out:
        said = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
        unfetched = [line.partition(" ")[2] for line in said if "Could not fetch URL" in line]
        raise _failure(finished, "\n".join((*unfetched[-3:], finished.output)), for_)


def _environment() -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if name in PLAIN or name.startswith("LC_")}
    own = {name: value for name, value in pip_environment.passed(os.environ).items() if name not in NOT_OURS}
    return plain | own | OURS


def _plain(line: Line) -> str:
    """The line's text. A package's own metadata may name an address too, and pip would put variables into that."""
    if "${" in line.text:
        name, where = line.requirement.name, line.where
        raise BuildFailed(f"{name} ({where}): a variable in its address or version: choose a version without it")
    return line.text


def _failure(finished: run.Finished, said: str, interpreter: Interpreter) -> TandemError:
    """The error that says what to do about what pip said."""
    output = without_secrets(said)
    last = "\n".join(output.splitlines()[-12:])
    missing = re.search(r"No matching distribution found for ([^\s(]+)", output)
    if finished.timed_out:
        return Unreachable(f"pip did not end within {TIME_LIMIT:.0f} s:\n{last}")
    if UNANSWERED.search(output):
        return Unreachable(f"the package index did not answer pip:\n{last}")
    if re.search(r"No space left on device|Errno 28", output):
        return BuildFailed(f"no space left for wheels in {os.environ.get('TMPDIR', 'the temporary folder')}:\n{last}")
    if "No module named pip" in output:
        return BuildFailed(f"{sys.executable} has no pip: run '{sys.executable} -m ensurepip'")
    if REFUSED.search(output):
        return BuildFailed(f"the package index refused pip: give it credentials in pip.conf or netrc:\n{last}")
    if "DO NOT MATCH THE HASHES" in output:
        return BuildFailed(f"a wheel is not the one that was locked: lock again, or find out who changed it:\n{last}")
    if missing:
        return BuildFailed(
            f"no wheel of {missing[1]} for {interpreter.identity} on the index (a source distribution alone is not "
            f"enough): choose a version that has one, or build it there with 'pip wheel {missing[1]}' and name the "
            f"wheel's folder by --find-links in the requirements file:\n{last}"
        )
    return BuildFailed(f"pip could not get the wheels for {interpreter.identity} (exit code {finished.code}):\n{last}")


def without_secrets(text: str) -> str:
    """pip's output without what stands before an @ or behind a ? in its addresses: passwords, signatures."""
    return re.sub(r"(\w+://[^\s?#'\"<>]*)\?[^\s#'\"<>]*", r"\1?****", run.without_secrets(text))
