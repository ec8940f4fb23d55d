"""The sample app, switched by settings alone to Azure Blob and a registry behind ACR's login: both builders."""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from azure.storage.blob import BlobServiceClient
from docker import DockerClient

from app.train import sample
from tandem.registries import evidence, open_registry
from tests import docker_engine
from tests.contracts.conftest import azurite
from tests.contracts.registries.conftest import acr, acr_url, repository
from tests.docker_engine import BaseImage
from tests.end_to_end.conftest import ask_for_less
from tests.end_to_end.test_dockerfile import wheelhouse

engine, engine_registry, base_image = docker_engine.engine, docker_engine.engine_registry, docker_engine.base_image
__all__ = ["acr", "acr_url", "azurite", "repository", "wheelhouse"]

CHECKOUT = Path(__file__).parents[2]
TANDEM = Path(sys.executable).with_name("tandem")
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="  # Azurite's, published
Run = Callable[..., str]


@pytest.fixture
def root(tmp_path: Path, acr_url: str, azurite: str, base_image: BaseImage) -> Path:
    """A clone whose app.toml names Azurite, the registry, a base image and the target docker:."""
    root = tmp_path / "tandem"
    subprocess.run(["git", "clone", "-q", str(CHECKOUT), str(root)], check=True)
    account = f"http://{azurite}/devstoreaccount1"
    with BlobServiceClient(account, credential=KEY) as service:
        service.create_container("models")
    toml = root / "deployments" / "digits" / "app.toml"
    ask_for_less(toml)
    text = toml.read_text()
    for key, value in {
        "store": f"azure-blob:{account}/models/digits",
        "base": base_image.name,
        "registry": acr_url,
        "target": "docker:",
        "address": "127.0.0.1:0",
    }.items():
        text, found = re.subn(rf'(?m)^{key} = "[^"]*"', f'{key} = "{value}"', text)
        assert found == 1, key
    toml.write_text(text)
    return root


@pytest.fixture
def tandem(root: Path, server: str, engine: str, azurite: str) -> Iterator[Run]:
    """Runs the command in the clone, as somebody who is logged in to Azure; what it printed."""
    account = f"BlobEndpoint=http://{azurite}/devstoreaccount1"
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "PYTHON", "TANDEM_"))}
    env |= {"PREFECT_API_URL": server, "PREFECT_HOME": str(root / "prefect"), "DOCKER_HOST": engine}
    env["AZURE_STORAGE_CONNECTION_STRING"] = f"AccountName=devstoreaccount1;AccountKey={KEY};{account}"

    def run(*words: str) -> str:
        done = subprocess.run([TANDEM, *words], cwd=root, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        assert KEY not in done.stdout + done.stderr
        return done.stdout + done.stderr

    yield run
    run("down", "--everything")


def released(tandem: Run) -> str:
    """Integrate, release, ask for the digit where users ask; the candidate's tag."""
    tag = re.findall(r"[0-9a-f]{12}-[0-9a-f]{12}-[0-9a-f]{8}", tandem("integrate", "digits"))[-1]
    (address,) = re.findall(r"runs in local at (http\S+)", tandem("release", "digits", "local"))
    picture = base64.b64encode(sample()).decode()
    assert '"7"' in httpx.post(f"{address}/score", json={"input": [picture]}, timeout=60).text
    version = httpx.get(f"{address}/version", timeout=60).json()["model"]["version"]
    assert version in tandem("candidates", "digits", "--json")
    return str(tag)


def test_digits_goes_from_blob_storage_and_a_commit_through_acr_to_a_container(
    root: Path, tandem: Run, acr_url: str, base_image: BaseImage, wheelhouse: Path, engine: str
) -> None:
    subprocess.run([sys.executable, "app/train.py", str(root / "model")], cwd=CHECKOUT, check=True)
    tandem("publish", "digits", str(root / "model"))
    assembled = released(tandem)

    toml = root / "deployments" / "digits" / "app.toml"
    text = toml.read_text().replace('# builder = "assemble"', 'builder = "docker"')
    text = re.sub(r'(?m)^(base = |command = \["gunicorn)', r"# \1", text)
    toml.write_text(text.replace("paths = [", 'paths = ["Dockerfile", "wheelhouse", '))
    file = root / "Dockerfile"  # containers reach no package index here
    hermetic = file.read_text().replace("python:3.11-slim-bookworm", base_image.name).replace('=""', '="--no-index"')
    file.write_text(hermetic)
    shutil.copytree(wheelhouse, root / "wheelhouse")
    git = ["git", "-C", str(root), "-c", "user.name=ann", "-c", "user.email=ann@example.org"]
    subprocess.run([*git, "add", "Dockerfile", "wheelhouse"], check=True)
    subprocess.run([*git, "commit", "-qm", "Wheels for a network without an index"], check=True)
    built = released(tandem)

    registry = open_registry(acr_url, root)
    boms = []
    for tag in (assembled, built):
        (content,) = evidence.find(registry, str(registry.resolve(tag).digest), evidence.SBOM)
        boms.append({each["name"] for each in json.loads(content)["components"]})
    for names in boms:
        assert {"flask", "onnxruntime", "numpy", "digits"} <= names
    client = DockerClient(base_url=engine)
    label = f"dev.tandem.environment={root}/.tandem/environments/digits-local"
    (container,) = client.containers.list(filters={"label": label})
    assert container.attrs["Config"]["User"].startswith("10001")
    client.close()
