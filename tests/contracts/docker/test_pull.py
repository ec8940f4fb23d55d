"""Docker pulls an app's image with the account that Tandem uses for its registry, and says why where it cannot."""

import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import docker
import httpx
import pytest
from prefect.logging import disable_run_logger
from prefect_docker import DockerHost

from tandem.errors import NotInRegistry, RegistryError, SettingsError
from tandem.flows.engine import Remote, docker_name, pull_image, remote
from tandem.image_config import ImageConfig, config_bytes
from tandem.images.layers import MEDIA_TYPE
from tandem.manifests import CONFIG, blob_of, digest_of
from tandem.records import ImageManifest
from tandem.registries import open_registry
from tandem.seams import Registry
from tandem.settings import AppSettings, Settings
from tests.contracts.registries import conftest as registries

acr, acr_url, repository = registries.acr, registries.acr_url, registries.repository
USER = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def digest(acr_url: str, tmp_path: Path) -> str:
    """A small image in a registry behind ACR's login."""
    return small_image(open_registry(acr_url, tmp_path), acr_url)[0]


def small_image(registry: Registry, name: str) -> tuple[str, str]:
    """An image of one file that only this test has; its digest and its layer's."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.addfile(tarfile.TarInfo(name.replace("/", "-")))
    layer = registry.write(blob_of(packed.getvalue(), "layer.tar"), MEDIA_TYPE)
    content = config_bytes(ImageConfig(diff_ids=(digest_of(packed.getvalue()),)))
    config = registry.write(blob_of(content, "config.json"), CONFIG)
    return registry.put(ImageManifest(config, (layer,))).digest, layer.digest


@pytest.fixture
def refresh_token(acr: str) -> str:
    """What a person's `az acr login` leaves."""
    argv = [sys.executable, registries.ENTRA, "refresh", acr]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def pull(engine: str) -> Callable[[Remote], None]:
    """pull(image) brings it into the engine."""

    def bring(image: Remote) -> None:
        with disable_run_logger():
            pull_image.fn(DockerHost(base_url=engine), image)

    return bring


def settings(url: str, root: Path, **image: object) -> Settings:
    model = {"store": "file://store", "name": "m"}
    return Settings("app", root, AppSettings.model_validate({"model": model, "image": {"registry": url, **image}}))


def test_with_the_identity_at_hand_for_azures_registry(
    client: docker.DockerClient, pull: Callable[[Remote], None], acr_url: str, digest: str, tmp_path: Path
) -> None:
    image = remote(settings(acr_url, tmp_path), digest)
    assert image.auth and image.auth["username"] == USER
    assert image.auth["password"] not in repr(image), "a secret is not shown"
    pull(image)
    assert client.images.get(str(image))


def test_with_the_credentials_that_app_toml_names(
    client: docker.DockerClient, pull: Callable[[Remote], None],
    acr: str, acr_url: str, digest: str, refresh_token: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("REGISTRY_LOGIN", f"{USER}:{refresh_token}")
    wish = settings(acr_url.removeprefix("acr:"), tmp_path, credentials={"env": "REGISTRY_LOGIN"})
    pull(remote(wish, digest))
    assert client.images.get(f"{acr_url.removeprefix('acr:')}@{digest}")


def test_with_what_docker_login_left_and_without_it_what_to_do_is_said(
    client: docker.DockerClient, pull: Callable[[Remote], None],
    acr: str, acr_url: str, digest: str, refresh_token: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    wish = settings(acr_url.removeprefix("acr:"), tmp_path)
    with pytest.raises(RegistryError, match=r"docker login"):
        pull(remote(wish, digest))
    (tmp_path / "config.json").write_text(json.dumps({"auths": {acr: {"identitytoken": refresh_token}}}))
    pull(remote(wish, digest))
    assert client.images.get(f"{acr_url.removeprefix('acr:')}@{digest}")


def test_what_breaks_in_the_middle_is_told(url: str, pull: Callable[[Remote], None], tmp_path: Path) -> None:
    digest, layer = small_image(open_registry(url, tmp_path), url)
    host, _, repository = url.partition("/")
    assert httpx.delete(f"http://{host}/v2/{repository}/blobs/{layer}", timeout=60).status_code == 202
    with pytest.raises(NotInRegistry, match=r"Docker cannot pull it(.|\n)*blob"):
        pull(remote(settings(url, tmp_path), digest))


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("acr:apps.azurecr.io/team/app", ("apps.azurecr.io", "team/app")),
        ("http://registry.example:5000/app", ("registry.example:5000", "app")),
        ("docker.io/user/app", ("docker.io", "user/app")),
    ],
)
def test_a_registry_is_named_as_docker_names_it(url: str, name: tuple[str, str]) -> None:
    assert docker_name(url) == name


def test_a_folder_is_no_place_that_docker_pulls_from() -> None:
    with pytest.raises(SettingsError, match="Docker cannot pull from oci:registry"):
        docker_name("oci:registry")
