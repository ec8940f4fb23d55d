"""`tandem check`: what can be known before anything is built, and what to do where it is not as it must be."""

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from tandem.cli import deployments, environment
from tandem.errors import TandemError
from tandem.settings import Settings, apps


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. `fine` is None for what is worth knowing and stops nothing."""

    app: str
    what: str
    fine: bool | None
    says: str


def everything(root: Path, names: Sequence[str]) -> Iterator[Check]:
    """Every check of these apps, or of all; each is made when it is asked for."""
    environment.prepare(root)
    yield from _tools()
    loaded: dict[str, Settings] = {}
    for name in names or apps(root):
        try:
            loaded[name] = Settings.load(name, root)
        except TandemError as error:
            yield Check(name, "app.toml", False, str(error))
            continue
        yield Check(name, "app.toml", True, "as it must be")
        yield from _app(loaded[name])
    if len(loaded) == len(apps(root)):
        yield from _deployments(root, list(loaded.values()))


def _tools() -> Iterator[Check]:
    git = shutil.which("git")
    yield Check("", "git", bool(git), git or "not found: install it, with 'apt install git' on Debian")
    venv = all(importlib.util.find_spec(module) for module in ("venv", "ensurepip"))
    yield Check(
        "", "python3-venv", venv, "there" if venv else "not found: 'apt install python3-venv', the app's tests need it"
    )
    bwrap = shutil.which("bwrap")
    without = "not found: the app's tests run without isolation ('apt install bubblewrap')"
    yield Check("", "bubblewrap", True if bwrap else None, bwrap or without)


def _deployments(root: Path, loaded: Sequence[Settings]) -> Iterator[Check]:
    file = root / "prefect.yaml"
    try:
        wrong = deployments.differences(file, loaded)
    except TandemError as error:
        wrong = [str(error)]
    for line in wrong:
        yield Check("", "prefect.yaml", False, line)
    if not wrong:
        yield Check("", "prefect.yaml", True, "holds what the app folders ask for")


def _app(settings: Settings) -> Iterator[Check]:
    backends: Any = import_module("tandem.flows.backends")
    app, toml = settings.app, settings.toml
    yield attempt(
        app, "repository", lambda: f"{toml.source.branch} is at {backends.repository(settings).newest().id[:12]}"
    )
    for requirements in dict.fromkeys([toml.image.requirements, *toml.test.requirements]):
        if requirements and toml.source.repository == ".":
            yield _requirements(settings, requirements, image=requirements == toml.image.requirements)
    yield attempt(app, "model", lambda: _model(settings, backends.store(settings)))
    yield attempt(app, "registry", lambda: _registry(settings, backends.registry(settings)))
    if toml.image.builder == "docker" or any(each.target == "docker:" for each in toml.environments.values()):
        yield attempt(app, "docker", lambda: _engine(settings))
    if toml.test.where == "image":
        yield attempt(app, "tests", lambda: _inside(settings))
    for name, each in toml.environments.items():
        reached = True
        if each.target.startswith(("kubernetes:", "aks:")):
            clusters: Any = import_module("tandem.cli.cluster_checks")
            reached = yield from clusters.cluster(backends, settings, name)
        if reached:
            yield attempt(app, name, partial(_target, backends, settings, name))
    yield from import_module("tandem.cli.telling_checks").telling(settings)


def attempt(app: str, what: str, look: Callable[[], str]) -> Check:
    """What `look` says, or the error's own words: every TandemError says what to do."""
    try:
        return Check(app, what, True, look())
    except TandemError as error:
        return Check(app, what, False, str(error))


def _requirements(settings: Settings, name: str, image: bool) -> Check:
    file, what = settings.root / name, f"{name}"
    if not file.is_file():
        return Check(settings.app, what, False, "no such file: correct app.toml, or commit the file")
    if not _committed(settings, name):
        return Check(
            settings.app, what, False, f"not on {settings.toml.source.branch} yet: commit it, builds see commits"
        )
    if "--hash=" in file.read_text(errors="replace"):
        return Check(settings.app, what, True, "locked by hashes")
    if not image:
        return Check(settings.app, what, True, "there")
    loose = f"not locked: images are as reproducible as the index; 'tandem init --app {settings.app} --lock' locks it"
    return Check(settings.app, what, None, loose)


def _committed(settings: Settings, name: str) -> bool:
    spec = f"{settings.toml.source.branch}:./{name}"
    argv = ["git", "rev-parse", "--verify", "--quiet", "--end-of-options", spec]
    return subprocess.run(argv, cwd=settings.root, capture_output=True, check=False).returncode == 0


def _model(settings: Settings, store: Any) -> str:
    meets, wish = import_module("tandem.models").meets, settings.toml.model
    newest = next(iter(store.versions(wish.name)), None)
    if newest is None:
        raise TandemError(
            f"no model {wish.name!r} in {wish.store}: 'tandem publish {settings.app} DIRECTORY' stores one"
        )
    if reasons := meets(newest, wish.require):
        raise TandemError(f"the newest, {newest.version[:12]}, may not ride: {'; '.join(reasons)}")
    return f"{wish.name} {newest.version[:12]} is the newest"


def _registry(settings: Settings, registry: Any) -> str:
    url = settings.toml.image.registry
    if url.startswith("oci:"):
        folder = settings.root / url.removeprefix("oci:")
        there = next(each for each in (folder, *folder.parents) if each.exists())
        if not os.access(there, os.W_OK):
            raise TandemError(f"{there} cannot be written to: change its owner, or [image] registry")
        if not folder.exists():
            return f"{url} will be made with the first image"
    return f"{url} holds {len(registry.tags())} tags"


def _engine(settings: Settings) -> str:
    engine: Any = import_module("tandem.flows.engine")
    found = engine.answering(engine.docker_host(settings))
    return f"Docker {found.version} at {found.address}"


def _inside(settings: Settings) -> str:
    trial: Any = import_module("tandem.flows.trial")
    return f"run in the image, by Docker {trial.needed(settings).version}"


def _target(backends: Any, settings: Settings, name: str) -> str:
    image, process = settings.toml.image, settings.environment(name).target.startswith("process:")
    if process and not image.bare:
        raise TandemError(
            'process: runs only images with [image] base = "none": on this machine, docker: runs this one'
        )
    if image.bare and not process:
        raise TandemError(
            'an image with [image] base = "none" has no system of its own, only process: runs it: name a base'
        )
    target = backends.target(settings, name)
    state, running = target.state().value, target.running()
    if state.under_way:
        return f"a release is under way, at the step {state.under_way.step!r}"
    return (
        f"runs {state.current.candidate.tag} at {running.address}" if state.current else "reachable, nothing runs yet"
    )
