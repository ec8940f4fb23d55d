import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import docker

from tandem.image_config import config_of
from tandem.images.carry import carry_layers, put_on
from tandem.images.docker_images import local_name
from tandem.manifests import MANIFEST, blob_of
from tandem.records import Model, Source
from tandem.registries import open_registry
from tandem.seams import Registry
from tests.contracts.docker.conftest import COMMIT, Build

DOCKERFILE = """FROM {base}
WORKDIR /srv
COPY . .
USER 10001
ENV GREETING=hello
CMD ["python3", "app.py"]
"""
APP = "import os; print(os.environ['GREETING'], os.environ.get('MODEL_DIR'), sorted(os.listdir('.')))"
FILES = {"Dockerfile": DOCKERFILE, "app.py": APP, ".dockerignore": "Dockerfile\nnotes\n.dockerignore\n", "notes/a": "x"}


def test_the_users_own_dockerfile_becomes_an_image_that_says_what_it_is(
    build: Build, source: Callable[..., Source], registry: Registry
) -> None:
    image = build(source(FILES), env={"MODEL_DIR": "{model}"})
    config = config_of(image)
    assert (image.manifest.media_type, image.manifest.config.media_type.startswith("application/vnd.oci.")) == (
        MANIFEST, True)  # fmt: skip
    assert (config.command, config.user, config.workdir) == (("python3", "app.py"), "10001", "/srv")
    assert config.env["GREETING"] == "hello" and config.env["MODEL_DIR"] == "/model"
    assert config.created == image.manifest.annotations["org.opencontainers.image.created"] == COMMIT.time.isoformat()
    assert config.labels["org.opencontainers.image.revision"] == COMMIT.id
    assert json.loads(config.labels["dev.tandem.command"]) == ["python3", "app.py"]
    assert json.loads(config.labels["dev.tandem.env"]) == {"MODEL_DIR": "{model}"}
    assert "dev.tandem.build" not in config.labels
    assert config.labels["dev.tandem.port"] == "8000" and config.ports == ("8000/tcp",)
    assert registry.tags() == []  # nothing that docker pushed stays, and no candidate is there yet
    assert image.registry.resolve(image.digest) is not None


def test_it_runs_with_the_model_on_top_and_without_what_dockerignore_names(
    build: Build, source: Callable[..., Source], registry: Registry, client: docker.DockerClient
) -> None:
    app = build(source(FILES), env={"MODEL_DIR": "{model}"})
    model = Model("digits", "a" * 64, (blob_of(b"weights\n", "weights.txt"),))
    whole = put_on(app, carry_layers(model, "/model", registry, {}), {}, COMMIT.time)
    client.images.pull(str(whole))
    said = client.containers.run(str(whole), ["sh", "-c", "python3 app.py; cat /model/weights.txt"], remove=True)
    assert said.decode() == "hello /model ['app.py']\nweights\n"


def test_the_command_of_app_toml_takes_the_place_of_the_dockerfiles(
    build: Build, source: Callable[..., Source]
) -> None:
    entry = DOCKERFILE + 'ENTRYPOINT ["python3"]\n'
    config = config_of(build(source(FILES | {"Dockerfile": entry}), command=["serve", "--bind", "{listen}"]))
    assert (config.entrypoint, config.command) == ((), ("serve", "--bind", "0.0.0.0:8000"))
    assert json.loads(config.labels["dev.tandem.command"]) == ["serve", "--bind", "{listen}"]


def test_the_same_commit_gives_the_same_digest_and_leaves_one_image_on_the_daemon(
    build: Build, source: Callable[..., Source], registry: Registry, client: docker.DockerClient
) -> None:
    first = build(source(FILES))
    assert build(source(FILES)).digest == first.digest
    later = replace(COMMIT, id="d" * 40, time=datetime(2024, 5, 7, tzinfo=UTC))
    assert build(source(FILES | {"app.py": "print()"}, later)).digest != first.digest
    ours = client.images.list(all=False, filters={"label": f"dev.tandem.build={registry}"})
    assert [each.tags for each in ours] == [[each for each in ours[0].tags if each.startswith("tandem.local/")]]
    assert not client.images.list(local_name(registry)) and registry.tags() == []


def test_into_a_folder_the_daemons_image_goes_unpacked(
    engine: str, source: Callable[..., Source], tmp_path: Path, client: docker.DockerClient
) -> None:
    folder = open_registry("oci:registry", tmp_path)
    twice = "FROM scratch\nCOPY app.py /\nCOPY app.py /\n"
    image = Build(engine, folder, tmp_path)(source(FILES | {"Dockerfile": twice}))
    assert config_of(image).diff_ids == tuple(layer.digest for layer in image.manifest.layers)
    assert len(image.manifest.layers) == 2 and len({layer.digest for layer in image.manifest.layers}) == 1
    assert folder.tags() == [] and folder.resolve(image.digest)


def test_steps_are_told_and_the_log_has_no_line_for_a_tick(build: Build, source: Callable[..., Source]) -> None:
    build(source(FILES | {"Dockerfile": DOCKERFILE + "RUN echo built by hand\n"}))
    steps = [(step.done, step.message.split()[0]) for step in build.told]
    assert steps[:7] == list(enumerate(["FROM", "WORKDIR", "COPY", "USER", "ENV", "CMD", "RUN"]))
    assert "built by hand" in build.log and len(build.log.splitlines()) < 40
