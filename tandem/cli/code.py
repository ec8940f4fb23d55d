"""What an app's code says of itself, read from its syntax trees; nothing of it is imported or run."""

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

MODEL = re.compile(r"MODEL|WEIGHTS|ONNX|CHECKPOINT")
KNOWS = {"Flask": "flask", "FastAPI": "fastapi", "Starlette": "fastapi"}
FOLDER = re.compile(r"(?:\./)?((?:models?|weights|checkpoints)(?=/)[\w./-]*)/[\w-]+\.\w+")
READY = ("/readyz", "/ready", "/healthz", "/health", "/ping", "/status", "/")


@dataclass(frozen=True)
class Entry:
    """A way to start the app. `name` is `app`, or `create_app()` for a factory, or "" for a script's file."""

    kind: str  # "flask", "fastapi", "script"
    file: PurePosixPath
    name: str = ""


@dataclass(frozen=True)
class Findings:
    """What the files of a repository say. `model` is (variable, default) where the model's path is read from one,
    `folder` the model's own where a path in it stands in the code.
    """

    entries: tuple[Entry, ...] = ()
    port: int | None = None
    port_variable: str | None = None
    port_option: bool = False
    model: tuple[str, str] | None = None
    routes: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    folder: str | None = None

    @property
    def ready(self) -> str:
        """The route that most probably says whether the app can serve."""
        return next((path for path in READY if path in self.routes), self.routes[0] if self.routes else "/")


def read(root: Path, files: Sequence[PurePosixPath]) -> Findings:
    """The findings of these Python files, tests left out; files that do not parse say nothing."""
    found = Findings()
    for file in files:
        if any(part.startswith("test") or part in ("conftest.py", "setup.py") for part in file.parts):
            continue
        try:
            tree = ast.parse((root / file).read_bytes())
        except (SyntaxError, ValueError, OSError):
            continue
        found = _merge(found, _file(file, tree))
    order = {"factory": 0, "flask": 1, "fastapi": 1, "script": 2}
    entries = sorted(found.entries, key=lambda e: (order["factory" if "(" in e.name else e.kind], len(e.file.parts)))
    return replace(found, entries=tuple(entries))


def _file(file: PurePosixPath, tree: ast.Module) -> Findings:
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    variables = list(_variables(tree))
    port_variable = next((name for name, _ in variables if re.fullmatch(r"(\w+_)?PORT", name)), None)
    default = next((value for name, value in variables if name == port_variable and value.isdigit()), None)
    return Findings(
        entries=tuple(_entries(file, tree)),
        port=int(default) if default else _port(tree, calls),
        port_variable=port_variable,
        port_option=any(_named(call) == "add_argument" and _first(call) == "--port" for call in calls),
        model=next(((name, value) for name, value in variables if MODEL.search(name)), None),
        routes=tuple(_routes(calls)),
        weights=tuple(
            sorted(t for t in texts if re.fullmatch(r"[\w./-]+\.(onnx|safetensors|pkl|joblib|pt|pth|h5)", t))
        ),
        folder=next((found[1] for text in sorted(texts) if (found := FOLDER.fullmatch(text))), None),
    )


def _merge(one: Findings, other: Findings) -> Findings:
    return Findings(
        one.entries + other.entries,
        one.port or other.port,
        one.port_variable or other.port_variable,
        one.port_option or other.port_option,
        one.model or other.model,
        one.routes + other.routes,
        one.weights + other.weights,
        one.folder or other.folder,
    )


def _entries(file: PurePosixPath, tree: ast.Module) -> Iterator[Entry]:
    factories = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            made = {KNOWS.get(_named(c) or "") for c in ast.walk(node) if isinstance(c, ast.Call)} - {None}
            returns = any(isinstance(each, ast.Return) and each.value for each in ast.walk(node))
            if made and returns and not node.name.startswith("_"):
                factories[node.name] = str(min(str(kind) for kind in made))
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(value, ast.Call) and isinstance(target, ast.Name):
            kind = KNOWS.get(_named(value) or "") or factories.get(_named(value) or "")
            if kind:
                yield Entry(kind, file, target.id)
    for name, kind in factories.items():
        yield Entry(kind, file, f"{name}()")
    if _starts(tree):
        yield Entry("script", file)


def _starts(tree: ast.Module) -> bool:
    """Whether running the file starts a server: by name, or at its end."""
    names = {_named(node) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    return bool(names & {"serve_forever", "run", "run_app", "serve", "run_simple"}) and any(
        isinstance(node, ast.If | ast.Expr | ast.With) for node in tree.body
    )


def _port(tree: ast.Module, calls: Sequence[ast.Call]) -> int | None:
    """A port that stands in the code: `port=5000`, `PORT = 5000`, `HTTPServer(("", 5000), …)`."""
    for call in calls:
        for keyword in call.keywords:
            if keyword.arg == "port" and (number := _number(keyword.value)):
                return number
        address = call.args[0] if call.args and (_named(call) or "").endswith("HTTPServer") else None
        if isinstance(address, ast.Tuple) and (number := _number(address.elts[-1])):
            return number
        if _named(call) == "add_argument" and _first(call) == "--port":
            number = next((_number(keyword.value) for keyword in call.keywords if keyword.arg == "default"), None)
            if number:
                return number
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "PORT" for t in node.targets):
            return _number(node.value)
    return None


def _variables(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Environment variables that the code reads, each with its default or ""."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in (
            "os.environ.get",
            "os.getenv",
            "environ.get",
            "getenv",
        ):
            default = node.args[1].value if len(node.args) > 1 and isinstance(node.args[1], ast.Constant) else ""
            if name := _first(node):
                yield name, str(default)
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            key = node.slice.value
            if ast.unparse(node.value) in ("os.environ", "environ") and isinstance(key, str):
                yield key, ""


def _routes(calls: Sequence[ast.Call]) -> Iterator[str]:
    """Paths that answer GET and have no variable part."""
    for call in calls:
        methods = next((ast.unparse(k.value) for k in call.keywords if k.arg == "methods"), "GET")
        path = _first(call) or ""
        if (
            _named(call) in ("route", "get")
            and path.startswith("/")
            and "GET" in methods
            and not re.search(r"[<{]", path)
        ):
            yield path


def _named(call: ast.Call) -> str | None:
    function = call.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", None)


def _first(call: ast.Call) -> str | None:
    first = call.args[0] if call.args else None
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None


def _number(node: ast.AST) -> int | None:
    value = node.value if isinstance(node, ast.Constant) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 65536 else None
