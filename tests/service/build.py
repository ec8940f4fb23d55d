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
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deployments" / "server" / "Dockerfile"
CONTEXT = ("tandem", "flows", "pyproject.toml", "README.md", "LICENSE", "requirements/server.txt")  # .dockerignore's
# As a pod runs it: without rights, without a file system to write to, as a user that it does not know.
BARE = ("--rm", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--network=none", "--tmpfs=/tmp")
SAYS = "id -u; ls /venv/bin; git --version; tandem --help; python -c 'import tandem.flows.release; print(1 + 1)'"


def build(engine: str, base: str, wheelhouse: Path, venv: Path) -> None:
    """The image on `base`, seen to run; its /venv as the tar `venv`, and what it sets beside that, as .json."""

    def docker(*words: str | Path) -> str:
        env = {"PATH": os.environ["PATH"], "DOCKER_HOST": engine, "DOCKER_BUILDKIT": "0", "HOME": str(venv.parent)}
        done = subprocess.run(["docker", *words], env=env, capture_output=True, text=True)
        assert done.returncode == 0, f"docker {' '.join(map(str, words))}: {done.stdout[-4000:]}{done.stderr}"
        return done.stdout.strip()

    with context(wheelhouse) as folder:
        arguments = (f"--build-arg=BASE={base}", "--build-arg=PIP_OPTIONS=--no-index")
        image = docker("build", "--quiet", *arguments, "-f", folder / DOCKERFILE.relative_to(ROOT), folder)
    said = docker("run", *BARE, image, "sh", "-ec", SAYS).splitlines()
    assert said[0] == "10001" and said[-1] == "2" and "pip" not in said, said
    assert {"tandem", "prefect"} <= set(said) and any("reconcile" in line for line in said), said
    container = docker("create", image)
    half = venv.with_suffix(".half")
    with half.open("wb") as tar:
        subprocess.run(["docker", "--host", engine, "cp", f"{container}:/venv", "-"], check=True, stdout=tar)
    venv.with_suffix(".json").write_text(docker("image", "inspect", "--format", "{{json .Config}}", image))
    docker("rm", container)
    docker("image", "rm", "--force", image)
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
