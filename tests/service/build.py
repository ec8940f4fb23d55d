"""deployments/server/Dockerfile by a real `docker build`, of a network without an index: what its image holds and sets.

`python -m tests.service.build DOCKER_HOST BASE_IMAGE WHEELHOUSE FOLDER/venv.tar` does it by hand.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deployments" / "server" / "Dockerfile"
CONTEXT = ("tandem", "flows", "pyproject.toml", "README.md", "LICENSE", "requirements/server.txt")  # .dockerignore's
# As a pod runs it: without rights, without a file system to write to, as a user that it does not know.
BARE = ("--rm", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--network=none", "--tmpfs=/tmp")
SAYS = "id -u; ls /venv/bin; git --version; tandem --help; python -c 'import tandem.flows.release; print(1 + 1)'"


def build(engine: str, base: str, wheelhouse: Path, venv: Path) -> None:
    """The image on `base`, seen to run; its /venv as the tar `venv`, and what it sets beside that, as .json."""

    def docker(*words: str | Path, into: int | IO[bytes] = subprocess.PIPE) -> str:
        env = os.environ | {"DOCKER_HOST": engine, "DOCKER_BUILDKIT": "0", "DOCKER_CONFIG": str(venv.parent)}
        done = subprocess.run(["docker", *words], env=env, stdout=into, stderr=subprocess.PIPE)
        said = (done.stdout or b"").decode()
        assert done.returncode == 0, f"docker {' '.join(map(str, words))}: {said[-4000:]}{done.stderr.decode()}"
        return said.strip()

    made: list[tuple[str, ...]] = [("image", "rm", "--force", base)]
    half = venv.with_suffix(".half")
    try:
        with context(wheelhouse) as folder:
            asked = ("--quiet", "--force-rm", f"--build-arg=BASE={base}", "--build-arg=PIP_OPTIONS=--no-index")
            asked += ("-f", str(folder / DOCKERFILE.relative_to(ROOT)), str(folder))
            for stage in (("--target=packages",), ()):  # each is removed by its own id
                image = docker("build", *stage, *asked)
                made.append(("image", "rm", "--force", image))
        said = docker("run", *BARE, image, "sh", "-ec", SAYS).splitlines()
        assert said[0] == "10001" and said[-1] == "2" and "pip" not in said, said
        assert {"tandem", "prefect"} <= set(said) and any("reconcile" in line for line in said), said
        container = docker("create", image)
        made.append(("rm", "--force", container))
        with half.open("wb") as tar:
            docker("cp", f"{container}:/venv", "-", into=tar)
        venv.with_suffix(".json").write_text(docker("image", "inspect", "--format", "{{json .Config}}", image))
    finally:
        for words in reversed(made):
            with suppress(AssertionError):  # a daemon that another test uses may need it
                docker(*words)
    half.replace(venv)


def settings(venv: Path) -> dict[str, str]:
    """The variables that the image of `build` sets."""
    found = json.loads(venv.with_suffix(".json").read_text())["Env"]
    return dict(each.partition("=")[::2] for each in found)


@contextmanager
def context(wheelhouse: Path) -> Iterator[Path]:
    """What is sent to the daemon: the classic builder does not read the .dockerignore beside the Dockerfile."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        for name in (*CONTEXT, str(DOCKERFILE.relative_to(ROOT))):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, folder / name)
        shutil.copytree(wheelhouse, folder / "wheelhouse")
        yield folder


if __name__ == "__main__":
    build(sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]).resolve())
