"""[test] where = "image" in the line: the tests decide on the very image that becomes the candidate."""

import json
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.sorting import ArtifactSort

from tandem.errors import SettingsError, SuiteFailed, Unreachable
from tandem.flows import backends
from tandem.flows.integrate import integrate
from tandem.flows.trial import needed
from tandem.registries import evidence
from tandem.settings import AppSettings, Settings
from tests import docker_engine

engine, engine_registry, base_image = docker_engine.engine, docker_engine.engine_registry, docker_engine.base_image
INSIDE = """
import json, os, pathlib, sys, unittest

class Inside(unittest.TestCase):
    def test_it_is_the_apps_image_with_its_model(self):
        self.assertEqual(sys.prefix, "/venv")
        self.assertIn("GREETING", pathlib.Path("/app/serve.py").read_text())
        self.assertEqual(json.load(open(os.environ["MODEL_DIR"] + "/model.json"))["answer"], 7)
"""


def settings(root: Path, **image: object) -> Settings:
    table = {"base": "registry.example/python:1", "registry": "registry.example/app", **image}
    model = {"store": "file://store", "name": "m"}
    return Settings("app", root, AppSettings.model_validate({"model": model, "image": table}))


def test_where_no_engine_can_run_them_what_to_do_is_said(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(
        SettingsError, match=r'\[test\] where = "image": image.registry: Docker cannot pull from oci:.*or say where'
    ):
        needed(settings(tmp_path, registry="oci:registry"))
    with pytest.raises(Unreachable, match=r'\[test\] where = "image": no Docker engine answers at .*or say where'):
        needed(settings(tmp_path))


def test_an_image_without_a_system_of_its_own_is_refused_before_anything_is_built(line) -> None:
    inside(line)
    with pytest.raises(SettingsError, match='base = "none" there is no system to run in: name a base'):
        integrate("tiny")
    assert backends.registry(Settings.load("tiny")).tags() == []


def test_the_tests_run_in_the_image_that_becomes_the_candidate(line, monkeypatch, engine, base_image) -> None:
    monkeypatch.setenv("DOCKER_HOST", engine)
    inside(line, base_image)
    (line.root / "code" / "test_inside.py").write_text(INSIDE)
    own = 'server.socket = socket.socket(fileno=int(sys.argv[1].removeprefix("fd://")))'
    binds = {own: 'server.socket = socket.create_server(("", 8000))'}
    line.commit(**binds)
    candidate = integrate("tiny")
    registry = backends.registry(Settings.load("tiny"))
    (told,) = registry.referrers(candidate.digest, evidence.TESTS)
    manifest = json.loads(registry.manifest(told.digest))
    said = json.loads(b"".join(registry.read(manifest["layers"][0]["digest"])))
    assert said["where"].startswith("docker ") and said["counts"]["passed"] == 2
    tags = registry.tags()
    line.commit(**binds, **{'"ok"': '"BROKEN"'})
    with pytest.raises(SuiteFailed, match="test_it_is_whole"):
        integrate("tiny")
    assert registry.tags() == tags
    with get_client(sync_client=True) as client:
        key = ArtifactFilterKey(any_=["tests-tiny"])
        tables = client.read_artifacts(artifact_filter=ArtifactFilter(key=key), sort=ArtifactSort.CREATED_DESC)
    assert "1 failed" in str(tables[0].data)


def inside(line, base=None) -> None:
    toml = line.root / "deployments" / "tiny" / "app.toml"
    text = toml.read_text().replace("[test]\n", '[test]\nwhere = "image"\nmodel = true\n')
    if base:
        there = f'base = "{base.name}"\nregistry = "{base.name.partition("@")[0]}"'  # so that nothing large is copied
        text = text.replace('registry = "oci:registry"', there)
    toml.write_text(text)
