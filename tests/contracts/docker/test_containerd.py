"""What `assemble` makes on a real base runs under Docker and under containerd: packages, the app's files, the model."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import docker
import pytest

from tandem.images import open_builder
from tandem.images.carry import carry_layers, put_on
from tandem.manifests import blob_of
from tandem.records import Model, Source
from tandem.registries import open_registry
from tandem.settings import ImageSettings
from tests.contracts.docker.conftest import COMMIT
from tests.docker_engine import BaseImage
from tests.images.conftest import write_wheel

GREET = """import os, pathlib, sys
def main():
    weights = pathlib.Path(sys.argv[1], "weights.txt")
    print(__file__, pathlib.Path("words.txt").read_text(), weights.read_text(), os.getuid())
"""
SAYS = f"/venv/lib/python3.11/site-packages/greet.py hello weights {ImageSettings.model_fields['user'].default}\n"


@pytest.fixture(scope="module")
def assembled(base_image: BaseImage, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image with a console script, a file and a model, as containers' programs name it."""
    if sys.version_info[:2] != (3, 11):
        pytest.skip("Debian's python is 3.11, and this one chooses the packages")
    root = tmp_path_factory.mktemp("assembled")
    script = {"greet-1.0.dist-info/entry_points.txt": "[console_scripts]\ngreet = greet:main\n", "greet.py": GREET}
    digest = write_wheel(root, "greet", "1.0", script)
    checkout = root / "checkout"
    checkout.mkdir()
    (checkout / "requirements.txt").write_text(f"greet==1.0 --hash={digest}\n")
    (checkout / "words.txt").write_text("hello")
    settings = ImageSettings(
        registry=str(base_image.image.registry),  # the base's own repository: nothing large is copied
        base=base_image.name,
        requirements="requirements.txt",
        files=("words.txt",),
        command=("greet", "{model}"),
    )
    registry = open_registry(settings.registry, root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_NO_INDEX", "1")
        patch.setenv("PIP_FIND_LINKS", str(root))
        builder = open_builder(settings, root, lambda url: open_registry(url, root))
        app = builder.build(Source(COMMIT, str(checkout)), settings, registry)
    model = Model("words", "a" * 64, (blob_of(b"weights", "weights.txt"),))
    return str(put_on(app, carry_layers(model, "/model", registry, {}), {}, COMMIT.time))


@pytest.fixture(scope="module")
def containerd() -> Iterator[list[str]]:
    """A containerd of this test's own: the words that begin a command to it."""
    for program in ("containerd", "ctr", "runc"):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed (it comes with Debian's docker.io)")
    if os.geteuid():
        pytest.skip("containerd needs root")
    with ExitStack() as undo:
        folder = Path(tempfile.mkdtemp(prefix="tc"))  # short: it holds sockets
        undo.callback(shutil.rmtree, folder)
        undo.callback(unmount, folder)
        socket, config, log = folder / "s", folder / "config.toml", folder / "log"
        config.write_text(f"""version = 2
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
grpc.address = "{socket}"
ttrpc.address = "{socket}.ttrpc"
""")
        with log.open("wb") as written:
            daemon = subprocess.Popen(["containerd", "--config", config], stdout=written, stderr=written)
        undo.callback(daemon.wait, 60)
        undo.callback(daemon.terminate)
        ctr = ["ctr", "--address", str(socket)]
        deadline = time.monotonic() + 90
        while subprocess.run([*ctr, "version"], capture_output=True).returncode:
            assert daemon.poll() is None and time.monotonic() < deadline, log.read_text()[-2000:]
            time.sleep(0.05)
        yield ctr


def unmount(folder: Path) -> None:
    for line in reversed(Path("/proc/mounts").read_text().splitlines()):
        if (mounted := line.split()[1]).startswith(f"{folder}/"):
            subprocess.run(["umount", "--lazy", mounted], check=True)


def run(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, f"{argv}: {done.stderr[-2000:]}"
    return done.stdout


def test_an_assembled_image_runs_under_containerd(assembled: str, containerd: list[str]) -> None:
    run(*containerd, "images", "pull", "--plain-http", assembled)
    assert assembled in run(*containerd, "images", "list", "--quiet")
    assert run(*containerd, "run", "--rm", assembled, "greeter") == SAYS


def test_an_assembled_image_runs_under_docker(assembled: str, client: docker.DockerClient) -> None:
    client.images.pull(assembled)
    assert client.containers.run(assembled, remove=True).decode() == SAYS
