"""`tandem init`: what it found, written down."""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from tandem.cli import app_toml, deployments
from tandem.cli.survey import Survey, survey
from tandem.errors import TandemError, UsageError
from tandem.settings import NAME, Settings, apps

Say = Callable[[str], None]
Ask = Callable[[str], bool] | None


def write(root: Path, name: str, lock: bool, ask: Ask, say: Say) -> None:
    """Write the app folder, prefect.yaml and .gitignore's line into `root`; whatever exists stays as it is.

    `ask` puts a question to a person; None: nobody is there, the answer is yes to writing and no to extras.
    Raises UsageError outside a repository and for names that app.toml does not allow.
    """
    if not (root / ".git").exists():
        raise UsageError(f"{root} is not the top of a git repository: run 'tandem init' there, or 'git init' first")
    if name and not re.fullmatch(NAME, name):
        raise UsageError(f"{name!r} is no app's name: lower-case letters, digits and dashes, 40 at most")
    found = survey(root, name)
    file = root / "deployments" / found.app / "app.toml"
    if file.exists():
        say(f"{_short(file, root)} is there already: kept as it is")
        if lock and found.requirements:
            _lock_beside(root, found, say)
    else:
        lock = lock or bool(found.requirements and ask and ask("Lock the requirements by hashes?"))
        found = _locked(root, found, say) if lock and found.requirements else found
        if ask and not ask(f"Write {_short(file, root)} ({' '.join(found.command)})?"):
            say("nothing written")
            return
        _app_folder(root, file, found, say)
    _prefect_yaml(root, [Settings.load(app, root) for app in apps(root)], say)
    _ignore(root, say)
    for note in found.notes:
        say(f"· {note}")
    say(f"next: read {_short(file, root)}, commit, then 'tandem publish {found.app} DIRECTORY' and 'tandem check'")


def _app_folder(root: Path, file: Path, found: Survey, say: Say) -> None:
    for name, content in found.files.items():
        if not (root / name).exists():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(content, encoding="utf-8")
            say(f"wrote {name}")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(app_toml.text(found), encoding="utf-8")
    say(f"wrote {_short(file, root)}: {' '.join(found.command)}")


def _lock_beside(root: Path, found: Survey, say: Say) -> None:
    """The lock for an app folder that is there: a person puts it into app.toml."""
    locked = _locked(root, found, say)
    name = str(locked.requirements)
    (root / name).write_text(locked.files[name], encoding="utf-8")
    say(f'wrote {name}: write requirements = "{name}" into [image], and into [test] in place of {found.requirements}')


def _locked(root: Path, found: Survey, say: Say) -> Survey:
    """The same, with a hash-locked copy of its requirements beside app.toml."""
    from tandem.images.interpreter import this_interpreter
    from tandem.images.lock import lock

    own = f"deployments/{found.app}/requirements.lock.txt"
    wanted = found.requirements or ""
    source = root / wanted
    if wanted in found.files:
        source.parent.mkdir(parents=True, exist_ok=True)
        source.write_text(found.files[wanted], encoding="utf-8")
    say(f"locking {wanted} …")
    content = lock(source, "linux/amd64", this_interpreter().minor)
    tests = tuple(own if each == wanted else each for each in found.test_requirements)
    return replace(found, requirements=own, test_requirements=tests, files=found.files | {own: content})


def _prefect_yaml(root: Path, loaded: Sequence[Settings], say: Say) -> None:
    file, wanted = root / "prefect.yaml", deployments.wanted(loaded)
    if not file.exists():
        file.write_text(deployments.document(wanted, _timezone()), encoding="utf-8")
        say(f"wrote {file.name}: {len(wanted)} deployments")
        return
    there = deployments.named(file)
    missing = [each for each in wanted if each.full_name not in there]
    if not missing:
        say(f"{file.name} is there already: kept as it is")
        return
    before = file.read_text(encoding="utf-8")
    more = "".join("\n" + deployments.lines(each, _timezone()) for each in missing)
    file.write_text(before.rstrip("\n") + "\n" + more, encoding="utf-8")
    try:
        whole = set(deployments.named(file)) == set(there) | {each.full_name for each in missing}
    except TandemError:
        whole = False
    if whole:
        say(f"{file.name}: added {', '.join(each.full_name for each in missing)} at its end")
    else:  # deployments: is not its last key
        file.write_text(before, encoding="utf-8")
        say(f"{file.name} was left as it is; add these lines to its deployments:\n{more}")


def _ignore(root: Path, say: Say) -> None:
    file = root / ".gitignore"
    before = file.read_text(encoding="utf-8") if file.exists() else ""
    if not {".tandem", ".tandem/", "/.tandem", "/.tandem/"} & set(before.split()):
        file.write_text(before + ("" if before.endswith("\n") or not before else "\n") + ".tandem/\n", encoding="utf-8")
        say("wrote .tandem/ into .gitignore")


def _timezone() -> str:
    """The machine's time zone by its name, for schedules; UTC where it has none."""
    if named := os.environ.get("TZ", "").lstrip(":"):
        return named
    where = os.path.realpath("/etc/localtime")
    return where.partition("zoneinfo/")[2] or "UTC"


def _short(file: Path, root: Path) -> str:
    return str(file.relative_to(root))
