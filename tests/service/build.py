"""deployments/server/Dockerfile, followed step by step in a chroot: what `docker build` does, without a daemon.

It knows what that file uses and no more. `python tests/service/build.py BASE_TAR WHEELHOUSE FOLDER` writes venv.tar.
"""

import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
SYSTEM = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DOCKERFILE = ROOT / "deployments" / "server" / "Dockerfile"


def instructions(stage: str) -> Iterator[tuple[str, str]]:
    """(INSTRUCTION, rest) of a stage: "packages", or "" for the last."""
    text = DOCKERFILE.read_text().replace("\\\n", " ")
    here = None
    for line in text.splitlines():
        word, _, rest = line.strip().partition(" ")
        if not word or word.startswith("#"):
            continue
        if word == "FROM":
            here = rest.partition(" AS ")[2]
        elif here == stage:
            yield word, rest.strip()


def build(base: Path, wheelhouse: Path, venv: Path) -> None:
    """/venv of the stage `packages`, as a tar; needs root."""
    with tempfile.TemporaryDirectory(dir=venv.parent) as folder:
        system = Path(folder)
        subprocess.run(["tar", "-xf", base, "-C", system], check=True)
        for word, rest in instructions("packages"):
            if word == "RUN":
                command = f"PIP_OPTIONS=--no-index; {rest}"
                subprocess.run(["chroot", system, "/bin/sh", "-ec", command], check=True, env={"PATH": SYSTEM})
            elif word == "COPY":
                *sources, target = shlex.split(rest)
                _copy(sources, system / target.lstrip("/"), wheelhouse, target.endswith("/"))
        order = ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner"]
        half = venv.with_suffix(".half")
        subprocess.run(["tar", "-cf", half, *order, "-C", system, "venv"], check=True)
        half.replace(venv)


def _copy(sources: list[str], target: Path, wheelhouse: Path, into: bool) -> None:
    for source in sources:
        if source == "wheelhouse*":
            shutil.copytree(wheelhouse, target, dirs_exist_ok=True)
        elif (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            target.mkdir(parents=True, exist_ok=True) if into else None
            shutil.copy(ROOT / source, target)


if __name__ == "__main__":
    build(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
