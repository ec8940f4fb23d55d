"""What people carry weights with today: download them, then push them with one of these."""

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from azure.storage.blob import ContainerSasPermissions, generate_container_sas
from measure import Meter, Run
from servers import ACCOUNT, KEY

MODULES = {
    "oras": "oras.land/oras/cmd/oras@v1.2.3",
    "crane": "github.com/google/go-containerregistry/cmd/crane@v0.20.6",
}
Peer = Callable[[Meter, str, Path], Run]  # (meter, address of the weights, empty folder)


def go_program(name: str) -> Path:
    """A Go module's program, built once into this user's cache."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tandem" / "peers"
    if not (folder / name).exists():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["go", "install", MODULES[name]], check=True, cwd=folder, env={**os.environ, "GOBIN": str(folder)}
        )
    return folder / name


def address_of(store: str, path: str) -> str:
    """A blob's address with a signature that lets anybody read it for a day."""
    endpoint, container = store.removeprefix("azure-blob:").rsplit("/", 1)
    end = datetime.now(UTC) + timedelta(days=1)
    may = ContainerSasPermissions(read=True)
    sas = generate_container_sas(ACCOUNT, container, account_key=KEY, permission=may, expiry=end)
    return f"{endpoint}/{container}/{path}?{sas}"


def curl(address: str) -> list[str]:
    """Downloads to weights.safetensors: the quickest way there is, without a check."""
    return ["curl", "--silent", "--fail", "--output", "weights.safetensors", address]


def download(meter: Meter, address: str, folder: Path) -> Run:
    """Only the download, to disk."""
    return meter.commands(curl(address), folder=folder)


def oras(program: Path, meter: Meter, address: str, folder: Path) -> Run:
    """Hashes the file, then sends it as it is."""
    layer = "weights.safetensors:application/vnd.oci.image.layer.v1.tar"
    push = [program, "push", "--plain-http", f"{meter.registry.address}/bench:oras", layer]
    return meter.commands(curl(address), push, folder=folder)


def crane(program: Path, meter: Meter, address: str, folder: Path) -> Run:
    """Wants a tar, and packs it."""
    tar = ["tar", "--create", "--file", "layer.tar", "weights.safetensors"]
    append = [program, "append", "--new_layer", "layer.tar", "--new_tag", f"{meter.registry.address}/bench:crane"]
    return meter.commands(curl(address), tar, append, folder=folder)


def docker(url: str, meter: Meter, address: str, folder: Path) -> Run:
    """Copies the file into a build context, into a layer, and packs that."""
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY weights.safetensors /model/\n")
    image = f"{meter.registry.address}/bench:docker"
    env = {"DOCKER_HOST": url, "DOCKER_BUILDKIT": "0"}
    try:
        build = ["docker", "build", "--no-cache", "--tag", image, "."]
        return meter.commands(curl(address), build, ["docker", "push", image], folder=folder, env=env)
    finally:
        remove = ["docker", "image", "rm", "--force", image]
        subprocess.run(remove, check=False, env={**os.environ, **env}, capture_output=True)


def peers(docker_url: str | None) -> Mapping[str, Peer]:
    """Those that this machine has, by the name in the table."""
    found: dict[str, Peer] = {
        "curl": download,
        "curl, oras push": partial(oras, go_program("oras")),
        "curl, tar, crane append": partial(crane, go_program("crane")),
    }
    if docker_url:
        found["curl, docker build, docker push"] = partial(docker, docker_url)
    return found


def weights_in(store: Path) -> None:
    """Every file below this folder into the page cache, and nothing left to be written: the same for everybody."""
    os.sync()
    for file in store.rglob("*"):
        if file.is_file():
            with file.open("rb", buffering=0) as opened, Path(os.devnull).open("wb") as nowhere:
                shutil.copyfileobj(opened, nowhere, 1 << 24)
