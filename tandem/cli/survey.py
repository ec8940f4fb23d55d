"""What `tandem init` guesses of a repository: enough for an app.toml that a person corrects rather than writes."""

import json
import re
import subprocess
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from tandem.cli import code
from tandem.cli.code import Entry, Findings


@dataclass(frozen=True)
class Survey:
    """An app as it seems to be. `notes` are what a person should know or do; `files` are to be written for it."""

    app: str
    branch: str
    command: tuple[str, ...]
    env: dict[str, str]
    requirements: str | None
    test_command: str
    test_requirements: tuple[str, ...]
    port: int
    ready: str
    model_path: str | None = None
    formats: tuple[str, ...] = ()
    files: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def survey(root: Path, name: str = "") -> Survey:
    """Look at the repository in `root`, changing nothing."""
    app = name or slug(root.name)
    tracked = _tracked(root)
    found = code.read(root, [file for file in tracked if file.suffix == ".py"])
    requirements, files, notes = _requirements(root, tracked, app)
    installed = _names(files.get(requirements or "", "") or _text(root / (requirements or "-")))
    entry = found.entries[0] if found.entries else None
    command, env = _command(root, entry, found, installed, notes)
    test_command, test_requirements = _tests(root, tracked, requirements, installed, files, app, notes)
    if found.model:
        variable, value = found.model[0], _model_value(*found.model, found)
        env[variable] = value
        if value == "{model}" and re.search(r"PATH|FILE", variable):
            notes.append(f'{variable} = "{{model}}" seems to be one file of the model: write "{{model}}/" and its name')
    elif found.folder:
        notes.append(
            f'the code reads {found.folder}/ itself: the model\'s files go there ([model] path = "/app/{found.folder}")'
        )
    else:
        notes.append("no environment variable seems to name the model's path: say in [image] env which one does")
    risky = sorted({file.rpartition(".")[2] for file in found.weights} - {"onnx", "safetensors"})
    if risky:
        notes.append(
            f"the code loads .{', .'.join(risky)}: such files can hold code; convert them, or allow them in formats"
        )
    return Survey(
        app, _branch(root), command, env, requirements, test_command, test_requirements,
        found.port or 8000, found.ready, None if found.model or not found.folder else f"/app/{found.folder}",
        tuple(risky), files, tuple(notes),
    )  # fmt: skip


def slug(text: str) -> str:
    """A name as app.toml allows it."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40].strip("-") or "app"


def _tracked(root: Path) -> list[PurePosixPath]:
    listed = _git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    return sorted((PurePosixPath(name) for name in listed.split("\0") if name), key=lambda f: (len(f.parts), str(f)))


def _branch(root: Path) -> str:
    """What origin calls its head, else the branch that is checked out."""
    origin = _git(root, "symbolic-ref", "--short", "refs/remotes/origin/HEAD").strip().removeprefix("origin/")
    return origin or _git(root, "symbolic-ref", "--short", "HEAD").strip() or "main"


def _git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else ""


def _text(file: Path) -> str:
    return file.read_text(errors="replace") if file.is_file() else ""


def _names(requirements: str) -> set[str]:
    found = (re.match(r"[A-Za-z0-9][\w.-]*(\[[\w,\s-]+\])?", line.strip()) for line in requirements.splitlines())
    return {re.sub(r"[-_.]+", "-", match[0].lower()) for match in found if match}


def _requirements(
    root: Path, tracked: Sequence[PurePosixPath], app: str
) -> tuple[str | None, dict[str, str], list[str]]:
    """The file of the app's requirements; made from pyproject.toml or Pipfile where there is none."""
    usual = ("requirements.txt", "requirements/prod.txt", "requirements/production.txt", "requirements/base.txt")
    for name in (*usual, *(str(file) for file in tracked if file.name == "requirements.txt")):
        if (root / name).is_file():
            return name, {}, []
    own, lines = f"deployments/{app}/requirements.txt", []
    if text := _text(root / "pyproject.toml"):
        lines = list(tomllib.loads(text).get("project", {}).get("dependencies", []))
    elif text := _text(root / "Pipfile"):
        lines = [f"{n}{_pin(wish)}" for n, wish in tomllib.loads(text).get("packages", {}).items()]
    if not lines:
        return None, {}, ["no requirements found: name their file in [image] requirements, if the app needs packages"]
    return own, {own: "".join(f"{line}\n" for line in lines)}, [f"{own} is a copy of the project's dependencies"]


def _pin(wish: object) -> str:
    wish = wish.get("version", "*") if isinstance(wish, dict) else wish
    return "" if wish == "*" else str(wish)


def _command(
    root: Path, entry: Entry | None, found: Findings, installed: set[str], notes: list[str]
) -> tuple[tuple[str, ...], dict[str, str]]:
    env = {found.port_variable: "{port}"} if found.port_variable else {}
    if entry is None:
        notes.append("no Flask, FastAPI or server script found: write [image] command")
        return ("python", "app.py"), env
    if entry.kind == "script":
        option = ("--port", "{port}") if found.port_option else ()
        if not (option or env):
            notes.append(
                f"{entry.file} binds port {found.port} itself: in a release, users wait for the new version's start"
                if found.port
                else f"{entry.file} seems to choose its port itself: [image] port must be that port"
            )
        return ("python", str(entry.file), *option), env
    folder, module = _module(root, entry.file)
    target, factory = f"{module}:{entry.name}", entry.name.endswith("()")
    if entry.kind == "fastapi":
        if not any(name.partition("[")[0] == "uvicorn" or name == "fastapi[standard]" for name in installed):
            notes.append("uvicorn is not among the requirements: add it, the command needs it")
        more = (("--factory",) if factory else ()) + (("--app-dir", folder) if folder else ())
        return ("uvicorn", target.removesuffix("()"), "--host", "127.0.0.1", "--port", "{port}", *more), {}
    if "gunicorn" in installed:
        return ("gunicorn", *(("--chdir", folder) if folder else ()), "--bind", "{listen}", target), {}
    notes.append("gunicorn is not among the requirements: with it, a release loses no request")
    if "waitress" in installed:
        call = ("--call",) if factory else ()
        return ("waitress-serve", "--listen=127.0.0.1:{port}", *call, target.removesuffix("()")), _path(folder)
    return ("flask", "--app", target, "run", "--host", "127.0.0.1", "--port", "{port}"), _path(folder)


def _path(folder: str) -> dict[str, str]:
    return {"PYTHONPATH": folder} if folder else {}


def _module(root: Path, file: PurePosixPath) -> tuple[str, str]:
    """The folder that must be on Python's path ("" is the repository), and the module's name from there."""
    folder = file.parent
    while folder.parts and (root / folder / "__init__.py").is_file():
        folder = folder.parent
    parts = list(file.relative_to(folder).with_suffix("").parts)
    if parts[-1] == "__init__":
        parts.pop()
    return ("" if folder == PurePosixPath(".") else str(folder)), ".".join(parts)


def _tests(
    root: Path,
    tracked: Sequence[PurePosixPath],
    requirements: str | None,
    installed: set[str],
    files: dict[str, str],
    app: str,
    notes: list[str],
) -> tuple[str, tuple[str, ...]]:
    tests = [file for file in tracked if re.fullmatch(r"test_\w+\.py|\w+_test\.py", file.name)]
    here = (requirements,) if requirements else ()
    if not tests:
        notes.append("no tests found: nothing is built before at least one runs; [test] command says how")
    elif not any(re.search(r"import pytest|def test_\w+\([^s)]|^def test", _text(root / t), re.M) for t in tests):
        folder = str(tests[0].parent)
        return f"python -m unittest discover -v -s {folder}", here
    named = [
        str(f) for f in tracked if re.fullmatch(r"(requirements[-_])?(dev|test|tests)([-_]requirements)?\.txt", f.name)
    ]
    for name in named:
        if "pytest" in _names(_text(root / name)):
            return "python -m pytest -q", (*here, name)
    if "pytest" in installed:
        return "python -m pytest -q", here
    own = f"deployments/{app}/test-requirements.txt"
    files[own] = "pytest\n"
    return "python -m pytest -q", (*here, own)


def _model_value(variable: str, default: str, found: Findings) -> str:
    """The model's folder, or the file in it where the variable names a file."""
    name = PurePosixPath(default).name if PurePosixPath(default).suffix else ""
    if not name and re.search(r"PATH|FILE", variable) and not default:
        name = PurePosixPath(found.weights[0]).name if found.weights else ""
    return f"{{model}}/{name}" if name else "{model}"


def quoted(value: object) -> str:
    """A value as TOML writes it: texts and lists of texts as JSON does."""
    return json.dumps(value, ensure_ascii=False)
