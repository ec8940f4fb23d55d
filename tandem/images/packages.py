"""The layer of packages: /venv, from wheels; known again by its key, so that unchanged requirements cost one HEAD."""

import hashlib
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.utils import canonicalize_name, parse_wheel_filename

from tandem.documents import dump, load
from tandem.errors import BuildFailed, DigestMismatch
from tandem.images import bytecode, cache, pip
from tandem.images.files import content_of
from tandem.images.interpreter import Interpreter
from tandem.images.layers import MEDIA_TYPE, Entry, layer_blob
from tandem.images.lock import resolve, text
from tandem.images.requirements import Line, Requirements
from tandem.images.unpack import Tree
from tandem.manifests import blob_of
from tandem.records import Blob, Descriptor
from tandem.seams import Registry

log = logging.getLogger("tandem.images")

ANNOTATION = "dev.tandem.packages"
FORM = "1"  # of the tree: a change of how it is made must change the key
COMPILERS, SHARE = 4, 200  # at most so many processes, each with so many modules at least


@dataclass(frozen=True)
class Packages:
    """Which packages, for which interpreter; `python` is where a base image has it, "" where it has none."""

    requirements: Requirements
    lines: tuple[Line, ...]
    interpreter: Interpreter
    python: str

    @property
    def key(self) -> str:
        """64 hex digits: equal keys mean the same packages for the same interpreter."""
        parts = (FORM, self.interpreter.identity, self.python, *(line.text for line in self.lines))
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def choose(requirements: Requirements, interpreter: Interpreter, python: str, folder: Path) -> Packages:
    """The exact packages: as locked, or as the index had them when these requirements were first seen here.

    Raises BuildFailed, Unreachable.
    """
    if requirements.locked():
        return Packages(requirements, requirements.applying(interpreter), interpreter, python)
    asked = [line.text for line in (*requirements.applying(interpreter), *requirements.constraining(interpreter))]
    seen = "\n".join((FORM, interpreter.identity, *asked, *requirements.options))
    locks, key = folder / "locks", hashlib.sha256(seen.encode()).hexdigest()
    log.warning("the requirements are not locked: what comes of them is as reproducible as the package index is")
    with cache.alone(locks, key):
        if (known := cache.read(locks / f"{key}.json")) is None:
            with cache.scratch(locks, key) as scratch:
                lines = resolve(requirements, interpreter, scratch)
            known = json.dumps([(str(line.requirement), line.hashes) for line in lines]).encode()
            cache.keep(locks / f"{key}.json", known)
            log.info("resolved %d packages; they stay as they are until the requirements change", len(lines))
    lines = tuple(Line.of(requirement, hashes) for requirement, hashes in json.loads(known))
    return Packages(requirements, lines, interpreter, python)


def packages_layer(
    packages: Packages, folder: Path, registry: Registry, remembered: Mapping[str, Descriptor]
) -> Descriptor:
    """The layer in the registry, annotated with its key. `folder` is where trees and what is known are kept.

    What is known of a layer by this key is believed where the registry has it; else the layer is made, and where
    what is made then is not what was known, it is written as it is. Raises BuildFailed, RegistryError, Unreachable.
    """
    key = packages.key
    note = folder / "layers" / f"{key}.json"
    annotated = {ANNOTATION: key}

    def made() -> Blob:
        with unpacked(packages, folder) as tree:
            pass
        return layer_blob(_entries(packages, tree), "packages.tar")

    known = load(Descriptor, content) if (content := cache.read(note)) else remembered.get(key)
    if known is not None:
        sha256 = known.digest.removeprefix("sha256:")
        blob = Blob("packages.tar", known.size, sha256, lambda offset: made().open(offset))
        try:
            return replace(registry.write(blob, MEDIA_TYPE), annotations=annotated)
        except DigestMismatch as error:
            log.warning("the packages' layer is made anew: %s", error)
    written = replace(registry.write(made(), MEDIA_TYPE), annotations=annotated)
    cache.keep(note, dump(written))
    return written


@contextmanager
def unpacked(packages: Packages, folder: Path) -> Iterator[Path]:
    """The folder of a virtual environment, without its python, that holds the packages; it stays while this is open.

    Made in `folder`, or found there. Raises BuildFailed, Unreachable.
    """
    key, trees = packages.key, folder / "packages"
    with cache.alone(trees, key):
        if not (trees / key).exists():
            _make(packages, trees)
        cache.used(trees, key)
        yield trees / key


def _make(packages: Packages, trees: Path) -> None:
    with cache.scratch(trees, packages.key) as scratch:
        wheels = pip.download(packages.lines, packages.requirements, packages.interpreter, scratch)
        tree = Tree(scratch / "venv", packages.interpreter.minor)
        tree.site.mkdir(parents=True)
        for wheel in sorted(wheels.iterdir()):
            tree.unpack(wheel)
        for one, other in sorted(tree.replaced):
            log.warning("%s and %s both hold some files: those of the latter are in the image", one, other)
        (tree.folder / "requirements.lock").write_text(_evidence(packages.lines, wheels), encoding="utf-8")
        _compile(packages.interpreter, tree.site)
        tree.folder.rename(trees / packages.key)


def _evidence(lines: tuple[Line, ...], wheels: Path) -> str:
    """The lock of what is in the image: each package with the hash of the very wheel."""
    named = {canonicalize_name(line.requirement.name): line for line in lines}
    exact = []
    for wheel in sorted(wheels.iterdir()):
        with wheel.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        name, version, _, _ = parse_wheel_filename(wheel.name)
        url = named.pop(name).requirement.url
        pin = f"{name} @ {url.partition('?')[0]}" if url else f"{name}=={version}"  # a query may be a signature
        exact.append(Line.of(pin, [f"sha256:{digest}"]))
    if named:
        raise BuildFailed(f"pip gave no wheel for {', '.join(sorted(named))}: this is a mistake of Tandem's, report it")
    return text(tuple(exact))


def _compile(interpreter: Interpreter, site: Path) -> None:
    """Byte code, where the interpreter that runs this is of the image's X.Y; whose format is another's differs."""
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    if interpreter.minor != own:
        log.info("packages without byte code: Tandem runs on Python %s, the image on %s", own, interpreter.minor)
        return
    if not (modules := sum(1 for _ in site.rglob("*.py"))):
        return
    argv, parts = [sys.executable, "-I", bytecode.__file__, str(site)], min(COMPILERS, 1 + modules // SHARE)
    running = [subprocess.Popen([*argv, str(part), str(parts)]) for part in range(parts)]
    if codes := [code for process in running if (code := process.wait())]:
        raise BuildFailed(
            f"byte code of the packages: a compiler ended with {codes[0]}: is there memory and disk left?"
        )


def _entries(packages: Packages, venv: Path) -> Iterator[Entry]:
    """The tree as a layer's entries, and the names that python goes by."""
    for parent, folders, names in os.walk(venv):
        here = Path(parent)
        at = Path("venv", here.relative_to(venv))
        yield from (Entry(str(at / name)) for name in folders)
        for name in names:
            content = content_of(here / name, name)
            yield Entry(str(at / name), content, executable=os.access(here / name, os.X_OK))
    yield Entry("venv/bin/python3", link="python")
    yield Entry(f"venv/bin/python{packages.interpreter.minor}", link="python")
    if packages.python:
        home = Path(packages.python).parent
        told = f"home = {home}\ninclude-system-site-packages = false\nversion = {packages.interpreter.version}\n"
        yield Entry("venv/bin/python", link=packages.python)
        yield Entry("venv/pyvenv.cfg", blob_of(told.encode(), "pyvenv.cfg"))
