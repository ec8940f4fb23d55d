import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import docker
import pytest

from tandem.images import open_builder
from tandem.images.docker_daemon import Daemon
from tandem.records import Commit, Image, Progress, Source
from tandem.registries import open_registry
from tandem.seams import Registry
from tandem.settings import ImageSettings
from tests.contracts.registries.conftest import acr, acr_url, repository
from tests.docker_engine import BaseImage, base_image, engine, engine_registry

__all__ = ["acr", "acr_url", "base_image", "engine", "engine_registry", "repository"]

COMMIT = Commit("c" * 40, "Ada", "ada@example.org", "Say hello", datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC))


@pytest.fixture
def client(engine: str) -> Iterator[docker.DockerClient]:
    client = docker.DockerClient(engine)
    yield client
    client.close()


@pytest.fixture
def url(engine_registry: str, request: pytest.FixtureRequest) -> str:
    """A repository of this test's own."""
    return f"{engine_registry}/test-{hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:16]}/app"


@pytest.fixture
def registry(url: str, tmp_path: Path) -> Registry:
    return open_registry(url, tmp_path)


@pytest.fixture
def source(tmp_path: Path, base_image: BaseImage) -> Callable[..., Source]:
    """source(Dockerfile="FROM {base}…", **{"app.py": "…"}) is a commit's folder with these files."""

    def make(files: Mapping[str, str], commit: Commit = COMMIT) -> Source:
        for name, text in files.items():
            file = tmp_path / "checkout" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text.replace("{base}", base_image.name), encoding="utf-8")
        return Source(commit, str(tmp_path / "checkout"))

    return make


@dataclass
class Build:
    """Builds by the daemon at `engine`, and keeps what was said."""

    engine: str
    registry: Registry
    root: Path
    said: list[str] = field(default_factory=list)
    told: list[Progress] = field(default_factory=list)
    login: Mapping[str, str] | None = None

    def __call__(self, source: Source, secrets: Mapping[str, str] | None = None, **table: object) -> Image:
        named = {"secrets": {name: {"env": name.upper()} for name in secrets or {}}}
        image = ImageSettings.model_validate({"builder": "docker", "registry": str(self.registry), **named, **table})
        daemon = Daemon(
            lambda: docker.DockerClient(self.engine),
            self.engine,
            login=lambda: self.login,
            secrets=lambda: secrets or {},
            say=self.said.append,
            tell=self.told.append,
        )
        builder = open_builder(image, self.root, lambda url: open_registry(url, self.root), daemon=daemon)
        return builder.build(source, image, self.registry)

    @property
    def log(self) -> str:
        return "\n".join(self.said)


@pytest.fixture
def build(engine: str, registry: Registry, tmp_path: Path) -> Build:
    """build(source, command=[…]) is the image; build.log is what was said meanwhile."""
    return Build(engine, registry, tmp_path)
