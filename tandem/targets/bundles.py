"""An environment's bundles: how each is started, where its log is, and which may go."""

import json
import os
import shutil
from contextlib import suppress
from pathlib import Path

from tandem.records import State
from tandem.targets.program import Program, environment
from tandem.targets.unpack import Bundle, sweep

KEPT = 2  # earlier good ones that stay unpacked


def folder_of(environment_folder: Path, digest: str) -> Path:
    """The folder of a digest's bundle."""
    return environment_folder / "images" / digest.removeprefix("sha256:")[:12]


def log_of(environment_folder: Path, digest: str) -> Path:
    """The file that a digest's program prints to."""
    return environment_folder / "logs" / f"{digest.removeprefix('sha256:')[:12]}.log"


def program_of(bundle: Bundle, folder: Path) -> Program:
    """How the bundle is started here: HOME, TMPDIR and the log stand in `folder`."""
    root = str(bundle.root)
    return Program(
        bundle.digest,
        root,
        bundle.command,
        environment(os.environ, bundle.root, folder, bundle.env),
        f"{root}{bundle.workdir}",
        f"{root}{bundle.model}",
        bundle.port,
        str(log_of(folder, bundle.digest)),
    )


def needed(state: State, served: set[str | None]) -> set[str]:
    """The digests that must stay: what serves, served just before, or is needed to go back to."""
    found = {*served, *state.verified[: KEPT + 1], state.current and state.current.candidate.digest}
    if state.under_way:
        found |= {state.under_way.release.candidate.digest, str(state.under_way.snapshot.content.get("digest"))}
    return {digest for digest in found if digest}


def unneeded(folder: Path, needed: set[str]) -> list[Path]:
    """The folders of an environment's bundles that are not needed any more."""
    kept = {folder_of(folder, digest) for digest in needed}
    found = (folder / "images").iterdir()
    return [bundle for bundle in found if bundle.is_dir() and not bundle.name.startswith(".") and bundle not in kept]


def prune(home: Path, folder: Path, needed: set[str]) -> None:
    """Remove the bundles that are not needed, their logs, and the layers that no environment's bundle is made of."""
    for bundle in unneeded(folder, needed):
        shutil.rmtree(bundle, ignore_errors=True)
        log = folder / "logs" / f"{bundle.name}.log"
        for file in (log, log.with_name(f"{log.name}.1")):
            file.unlink(missing_ok=True)
    sweep(home / "cache" / "layers", layers(home))


def layers(home: Path) -> set[str]:
    """The digests of every layer that a bundle of any environment is made of."""
    digests: set[str] = set()
    for document in (home / "environments").glob("*/images/*/image.json"):
        with suppress(FileNotFoundError, ValueError):
            digests.update(json.loads(document.read_text())["layers"])
    return digests
