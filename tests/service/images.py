"""The images of the service, once a machine: Debian with PostgreSQL and Redis, and Tandem's own on top.

Kept in the user's cache, with the registry that the cluster pulls them from. The checkout's code is a last layer of
its own, so that a change of it costs seconds.
"""

import compileall
import fcntl
import hashlib
import os
import py_compile
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tandem.image_config import ImageConfig, config_bytes
from tandem.manifests import CONFIG, blob_of
from tandem.records import Blob, Descriptor, ImageManifest
from tandem.registries import open_registry
from tandem.seams import Registry
from tests.contracts.registries.conftest import docker_registry
from tests.service.build import DOCKERFILE, ROOT, build, settings

LAYER = "application/vnd.oci.image.layer.v1.tar"
SYSTEM = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PACKAGES = "python3,python3-venv,ca-certificates,git,postgresql-15,redis-server,procps"
UNREAD = ("doc", "man", "locale", "info")
SITE = "venv/lib/python3.11/site-packages/tandem"
VERSION = 1  # of the base: raise it with PACKAGES


@dataclass(frozen=True)
class Images:
    """As a kubelet names them: HOST:PORT/NAME@sha256:…. `base` is Debian's Python, for apps."""

    tandem: str
    databases: str
    base: str


@contextmanager
def service_images(engine: Callable[[], str]) -> Iterator[Images]:
    """The images, in a registry that is there as long as this is open; only what is new is built, by that daemon."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tandem-tests" / "service"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:  # others may be making the same
        fcntl.flock(lock, fcntl.LOCK_EX)
        with tempfile.TemporaryDirectory() as own, docker_registry(_registry(folder)) as address:
            tandem, debian = (open_registry(f"{address}/{name}", Path(own)) for name in ("tandem", "debian"))
            base = _base(folder)
            system = [pushed(debian, base)]
            plain = f"{address}/debian@{put(debian, system, ImageConfig(env={'PATH': SYSTEM}))}"
            venv, code = _venv(folder, engine, plain), _code(folder)
            layers = [pushed(tandem, tar) for tar in (base, venv, code)]
            fcntl.flock(lock, fcntl.LOCK_UN)
            postgres = {"PATH": f"/usr/lib/postgresql/15/bin:{SYSTEM}"}
            yield Images(
                f"{address}/tandem@{put(tandem, layers, ImageConfig(env=settings(venv), user='10001:10001'))}",
                f"{address}/debian@{put(debian, system, ImageConfig(env=postgres, user='999'))}",
                plain,
            )


def _base(folder: Path) -> Path:
    """Debian's packages, by mmdebstrap, in about a minute."""
    tar = folder / f"base-{VERSION}.tar"
    if not tar.is_file():
        if not shutil.which("mmdebstrap") or os.geteuid():
            pytest.skip("mmdebstrap (Debian's package) and root are needed: they make the service's base image")
        argv = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}"]
        argv += [f"--dpkgopt=path-exclude=/usr/share/{unread}/*" for unread in UNREAD]
        argv += ["--customize-hook=chroot $1 useradd --uid 999 --no-create-home database"]
        half = folder / "half.tar"
        made = subprocess.run([*argv, "bookworm", half], capture_output=True, text=True)
        assert made.returncode == 0, made.stderr[-2000:]
        half.replace(tar)
    return tar


def _venv(folder: Path, engine: Callable[[], str], base: str) -> Path:
    """What the Dockerfile installs from the lock, in about two minutes; `base` is the image that it stands on."""
    locked = ROOT / "requirements" / "server.txt"
    files = (DOCKERFILE, locked, ROOT / "pyproject.toml", Path(__file__).with_name("build.py"))
    facts = [*(file.read_bytes() for file in files), base.partition("@")[2].encode()]
    tar = folder / f"venv-{hashlib.sha256(b''.join(facts)).hexdigest()[:16]}.tar"
    if not tar.is_file():
        wheels = folder / f"wheels-{hashlib.sha256(locked.read_bytes()).hexdigest()[:16]}"
        if not wheels.is_dir():
            half = folder / "wheels.half"
            shutil.rmtree(half, ignore_errors=True)
            every = folder / "server.txt"  # Debian's Python is older than the one that downloads: by its own markers
            every.write_text(re.sub(r" ; python_full_version < '3\.11\.\d+'", "", locked.read_text()))
            argv = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
            argv += ["--only-binary", ":all:", "--python-version", "3.11", "--requirement", str(every)]
            subprocess.run([*argv, "--dest", half], check=True)
            half.rename(wheels)
        build(engine(), base, wheels, tar)
        for old in (*folder.glob("venv-*"), *folder.glob("wheels-*")):
            if old not in (tar, tar.with_suffix(".json"), wheels):
                shutil.rmtree(old) if old.is_dir() else old.unlink()
    return tar


def _code(folder: Path) -> Path:
    """tandem/ and flows/ as they are in the checkout, compiled, where the Dockerfile's pip puts them."""
    files = {SITE: ROOT / "tandem", f"{SITE}/flows": ROOT / "flows"}
    found = sorted((f"{to}/{f.relative_to(at)}", f) for to, at in files.items() for f in at.rglob("*") if _wanted(f))
    facts = hashlib.sha256()
    for name, file in found:
        facts.update(name.encode() + hashlib.sha256(file.read_bytes()).digest())
    tar = folder / f"code-{facts.hexdigest()[:16]}.tar"
    if not tar.is_file():
        with tempfile.TemporaryDirectory() as made:
            for name, file in found:
                target = Path(made) / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, target)
            mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
            compileall.compile_dir(made, quiet=1, invalidation_mode=mode, stripdir=made, prependdir="/")
            order = ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner"]
            subprocess.run(["tar", "-cf", tar, *order, "-C", made, "venv"], check=True)
        for old in folder.glob("code-*.tar"):
            old.unlink() if old != tar else None
    return tar


def _wanted(file: Path) -> bool:
    return file.is_file() and "__pycache__" not in file.parts


def _registry(folder: Path) -> Path:
    """Where the registry keeps what it has: a layer is written once."""
    (folder / "registry").mkdir(exist_ok=True)
    return folder / "registry"


def pushed(registry: Registry, tar: Path) -> Descriptor:
    """The tar as a layer of the registry's; not read where it is there."""

    def pieces(offset: int) -> Iterator[bytes]:
        with tar.open("rb") as file:
            file.seek(offset)
            while piece := file.read(1024 * 1024):
                yield piece

    known = tar.with_suffix(".sha256")
    digest = known.read_text() if known.exists() else None
    written = registry.write(Blob(tar.name, tar.stat().st_size, digest, pieces), LAYER)
    known.write_text(written.digest.removeprefix("sha256:"))
    return written


def put(registry: Registry, layers: list[Descriptor], config: ImageConfig) -> str:
    """An image of these layers; its digest."""
    whole = replace(config, diff_ids=tuple(layer.digest for layer in layers))
    described = registry.write(blob_of(config_bytes(whole), "config.json"), CONFIG)
    return registry.put(ImageManifest(described, tuple(layers))).digest
