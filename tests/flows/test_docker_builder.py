"""The builder `docker` in the line: from a Dockerfile in the commit to a candidate that was tried in Docker."""

import pytest
from prefect.blocks.system import Secret
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect_docker import DockerHost

from tandem.errors import BuildFailed
from tandem.flows import backends
from tandem.flows.integrate import integrate
from tandem.image_config import config_of
from tandem.settings import Settings
from tests import docker_engine

engine, engine_registry, base_image = docker_engine.engine, docker_engine.engine_registry, docker_engine.base_image
DOCKERFILE = """FROM {base}
RUN --mount=type=secret,id=word test "$(cat /run/secrets/word)" = open-sesame && ln -s python3 /usr/bin/python
COPY serve.py /srv/
WORKDIR /srv
USER 10001
ENTRYPOINT ["python", "serve.py"]
"""
OWN = 'server.socket = socket.socket(fileno=int(sys.argv[1].removeprefix("fd://")))'


@pytest.fixture
def docker_line(line, monkeypatch, engine, base_image):
    """The line, its settings switched to a Dockerfile, a DockerHost block, a registry and a build secret."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")  # Debian's client, which has BuildKit in it
    DockerHost(base_url=engine).save("tests", overwrite=True)
    Secret(value="open-sesame").save("word", overwrite=True)
    toml = line.root / "deployments" / "tiny" / "app.toml"
    repository = base_image.name.partition("@")[0]  # the base's own, so that nothing large is copied
    text = toml.read_text().replace('command = ["python", "serve.py", "{listen}"]\n', "")
    there = f'builder = "docker"\nengine = "docker-host/tests"\nregistry = "{repository}"\n'
    toml.write_text(text.replace('registry = "oci:registry"', there + 'secrets = { word = { block = "secret/word" } }'))
    (line.root / "code" / "Dockerfile").write_text(DOCKERFILE.replace("{base}", base_image.name))
    line.commit(**{OWN: 'server.socket = socket.create_server(("", 8000))'})
    return line


def test_a_dockerfile_becomes_a_candidate_and_its_log_and_steps_are_seen(docker_line) -> None:
    candidate = integrate("tiny")
    registry = backends.registry(Settings.load("tiny"))
    config = config_of(backends.image(registry, candidate.tag))
    assert (config.entrypoint, config.user) == (("python", "serve.py"), "10001")
    assert config.env["MODEL_DIR"] == "/model" and config.env["COMMIT"] == candidate.pair.commit
    assert [tag for tag in registry.tags() if tag.startswith("build-")] == []
    with get_client(sync_client=True) as client:
        bars = client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=["build-tiny"])))
    assert bars and "step" in str(bars[0].description)
    assert integrate("tiny") == candidate


def test_a_step_that_fails_ends_the_run_with_its_line(docker_line) -> None:
    file = docker_line.root / "code" / "Dockerfile"
    file.write_text(file.read_text() + "RUN no-such-program\n")
    docker_line.commit()
    with pytest.raises(BuildFailed, match=r"Dockerfile:7: RUN no-such-program: exit code: 127"):
        integrate("tiny")
