from collections.abc import Callable
from pathlib import Path

import docker
import pytest

from tandem.errors import BuildFailed, SettingsError
from tandem.image_config import config_of
from tandem.records import Source
from tandem.seams import Registry
from tests.contracts.docker.conftest import Build

SECRET = "[global]\npassword = s3cret-word"
DOCKERFILE = """FROM {base}
RUN --mount=type=secret,id=pip \\
    sha256sum /run/secrets/pip && cat /run/secrets/pip >&2 && stat -c %a /run/secrets/pip
COPY . /srv/
USER 10001
CMD ["python3"]
"""


@pytest.fixture(autouse=True)
def debians_docker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian's client has BuildKit in it; another that comes before it on PATH may lack its plugin."""
    monkeypatch.setenv("PATH", f"/usr/bin:{Path('/bin')}")


def test_a_secret_is_there_for_its_step_and_nowhere_else(
    build: Build, source: Callable[..., Source], registry: Registry, client: docker.DockerClient
) -> None:
    image = build(source({"Dockerfile": DOCKERFILE}), {"pip": SECRET})
    assert "/run/secrets/pip" in build.log and "****" in build.log and "s3cret-word" not in build.log
    everything = b"".join(
        b"".join(registry.read(part.digest)) for part in (*image.manifest.layers[1:], image.manifest.config)
    )
    assert b"s3cret" not in everything and registry.tags() == []
    assert config_of(image).user == "10001"
    assert [step.done for step in build.told][:1] == [0]


def test_a_failing_step_is_named_by_its_line_and_no_secret_is_told(build: Build, source: Callable[..., Source]) -> None:
    failing = DOCKERFILE.replace("stat -c %a", "sleep 3; exit 7; stat")  # in time to be heard
    with pytest.raises(BuildFailed, match=r"^Dockerfile:2: RUN --mount=type=secret.*exit code: 7") as failed:
        build(source({"Dockerfile": failing}), {"pip": SECRET})
    assert "s3cret" not in str(failed.value) + build.log
    assert "****" in str(failed.value)


def test_what_only_buildkit_knows_is_built_by_it_unasked(
    build: Build, source: Callable[..., Source], client: docker.DockerClient
) -> None:
    text = "FROM {base}\nRUN --mount=type=cache,target=/cache echo hello > /hello\nUSER 10001\n"
    image = build(source({"Dockerfile": text}))
    client.images.pull(str(image))
    assert client.containers.run(str(image), ["cat", "/hello"], remove=True) == b"hello\n"


def test_without_dockers_client_it_is_said_what_needs_it(
    build: Build, source: Callable[..., Source], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SettingsError, match=r"Dockerfile:2: RUN --mount.* is for BuildKit: it needs docker's client"):
        build(source({"Dockerfile": DOCKERFILE}))
    with pytest.raises(SettingsError, match=r"\[image\] secrets \(pip\) are BuildKit's"):
        build(source({"Dockerfile": "FROM {base}\n"}), {"pip": "x"})
