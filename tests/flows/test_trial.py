"""Where an image is tried, and that a person sees it."""

import json
import time
from pathlib import Path

import pytest
from prefect.blocks.system import Secret
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.sorting import ArtifactSort
from prefect_docker import DockerHost

from tandem.errors import ImageFailed, SettingsError, Unreachable
from tandem.flows import backends, proof
from tandem.flows.integrate import integrate
from tandem.flows.trial import place
from tandem.settings import AppSettings, Settings
from tests import docker_engine

engine, engine_registry, base_image = docker_engine.engine, docker_engine.engine_registry, docker_engine.base_image
BASE = "registry.example/python@sha256:" + "0" * 64


def settings(root: Path, **image: object) -> Settings:
    table = {"base": BASE, "registry": "registry.example/app", **image}
    model = {"store": "file://store", "name": "m"}
    return Settings("app", root, AppSettings.model_validate({"model": model, "image": table}))


def test_an_image_without_a_system_of_its_own_is_tried_as_a_process(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    assert place(settings(tmp_path, base="none")) == (None, 'base = "none": the interpreter is this machine\'s')


def test_without_an_engine_that_can_pull_it_the_reason_is_said(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    assert "no Docker engine answers at" in place(settings(tmp_path))[1]
    assert "Docker cannot pull from oci:registry" in place(settings(tmp_path, registry="oci:registry"))[1]
    monkeypatch.setenv("DOCKER_HOST", "tcp://builds.example:2375")
    assert place(settings(tmp_path)) == (None, "the Docker engine at tcp://builds.example:2375 is another machine's, "
        "and what it publishes is not reached from here")  # fmt: skip


def test_an_engine_that_answers_is_taken(tmp_path, monkeypatch, engine) -> None:
    monkeypatch.setenv("DOCKER_HOST", engine)
    found, why = place(settings(tmp_path))
    assert found and found.version[0].isdigit() and why == "a Docker engine answers"


def test_an_engine_that_app_toml_names_is_required(server, tmp_path) -> None:
    DockerHost(base_url=f"unix://{tmp_path}/none.sock").save("away", overwrite=True)
    Secret(value="x").save("away", overwrite=True)
    wish = {"engine": "docker-host/away"}
    with pytest.raises(Unreachable, match=r"none\.sock"):
        place(settings(tmp_path, **wish))
    with pytest.raises(SettingsError, match="Docker cannot pull from oci:"):
        place(settings(tmp_path, registry="oci:registry", **wish))
    with pytest.raises(SettingsError, match=r"image\.engine: no Prefect block"):
        place(settings(tmp_path, engine="docker-host/absent"))


STEPS = {"test image", "pull image", "create container", "start container", "stop container", "remove container"}


def names_of(client: SyncPrefectClient) -> set[str]:
    """The newest task runs' names."""
    return {run.name for run in client.read_task_runs(limit=200)}


def test_an_image_is_tried_in_docker_and_the_run_shows_it(
    line, monkeypatch, engine, engine_registry, base_image
) -> None:
    monkeypatch.setenv("DOCKER_HOST", engine)
    toml = line.root / "deployments" / "tiny" / "app.toml"
    repository = base_image.name.partition("@")[0]  # the base's own, so that nothing large is copied
    there = f'base = "{base_image.name}"\nregistry = "{repository}"'
    toml.write_text(toml.read_text().replace('registry = "oci:registry"', there))
    own = 'server.socket = socket.socket(fileno=int(sys.argv[1].removeprefix("fd://")))'
    line.commit(**{own: 'server.socket = socket.create_server(("", 8000))'})
    candidate = integrate("tiny")
    with get_client(sync_client=True) as client:
        deadline = time.monotonic() + 120
        while not names_of(client) >= STEPS:  # task runs come to the server by events, a little later
            assert time.monotonic() < deadline, names_of(client)
            time.sleep(0.2)
        key = ArtifactFilterKey(any_=["candidate-tiny"])
        cards = client.read_artifacts(artifact_filter=ArtifactFilter(key=key), sort=ArtifactSort.CREATED_DESC)
    assert "in docker " in str(cards[0].data) and "a Docker engine answers" in str(cards[0].data)
    registry = backends.registry(Settings.load("tiny"))
    (told,) = registry.referrers(candidate.digest, proof.TRIAL)
    manifest = json.loads(registry.manifest(told.digest))
    said = json.loads(b"".join(registry.read(manifest["layers"][0]["digest"])))
    assert said["where"].startswith("docker ") and said["why"] == "a Docker engine answers"
    line.publish(answer=8)
    with pytest.raises(ImageFailed, match="/answer"):
        integrate("tiny")
