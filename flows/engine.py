"""A Docker engine, as flows meet it: which one, whether it answers, and an image of a registry brought into it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, flock
from pathlib import Path

import docker
import httpx
import requests
from docker.errors import APIError, DockerException, ImageNotFound
from prefect import get_run_logger, task
from prefect_docker import DockerHost

from tandem.errors import (
    DigestMismatch,
    NotInRegistry,
    RegistryError,
    ReleaseFailed,
    SettingsError,
    TandemError,
    Unreachable,
)
from tandem.registries import PLACE
from tandem.registries.accounts import docker_account
from tandem.registries.login import LOOPBACK
from tandem.settings import Credentials, Settings
from tandem.trust import trusted

from . import backends

ACR_USER = "00000000-0000-0000-0000-000000000000"  # says that the password is ACR's refresh token


@dataclass(frozen=True)
class Engine:
    """A Docker engine that answered: its host, and its version, such as "20.10.24"."""

    host: DockerHost
    version: str

    @property
    def address(self) -> str:
        """Where it is asked, for people."""
        return address(self.host)


@dataclass(frozen=True)
class Remote:
    """An image as Docker names it: `name`@`digest`, and what logs Docker in to its registry (None: nothing)."""

    name: str
    digest: str
    auth: dict[str, str] | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"{self.name}@{self.digest}"


def docker_host(settings: Settings) -> DockerHost:
    """[image].engine's block; without one what DOCKER_HOST says, or this machine's engine. Raises SettingsError."""
    wish = settings.toml.image.engine
    if wish is None:
        return DockerHost()
    block = backends.load_block(Credentials(block=wish), "image.engine")
    if not isinstance(block, DockerHost):
        raise SettingsError(f"image.engine: {wish} is a {type(block).__name__}, a docker-host block is wanted")
    return block


def answering(host: DockerHost) -> Engine:
    """The engine, where it answers; else Unreachable, with what to do."""
    with reaching(address(host)), host.get_client() as client:
        return Engine(host, str(client.version()["Version"]).partition("+")[0])


def elsewhere(host: DockerHost) -> bool:
    """Whether the engine is another machine's, whose published ports are not on this one's 127.0.0.1."""
    scheme, _, rest = address(host).partition("://")
    return scheme == "ssh" or (scheme in ("tcp", "http", "https") and httpx.URL(f"http://{rest}").host not in LOOPBACK)


def address(host: DockerHost) -> str:
    """Where the engine is asked."""
    return host.base_url or os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"


@contextmanager
def reaching(where: str) -> Iterator[None]:
    """Turns what the SDK raises into Unreachable of an engine that is away, ReleaseFailed of one that refuses."""
    try:
        yield
    except APIError as error:
        raise ReleaseFailed(f"the Docker engine at {where} refused: {told(error)}", "environment") from error
    except (DockerException, requests.RequestException) as error:
        do = "start it, or correct DOCKER_HOST or [image] engine"
        if "PermissionError" in str(error):
            do = "let this user into the group docker"
        raise Unreachable(f"no Docker engine answers at {where}: {error}: {do}") from error


def docker_name(registry: str) -> tuple[str, str]:
    """A registry's host and repository as Docker pulls from it; SettingsError where it cannot."""
    place = PLACE.fullmatch(registry.removeprefix("acr:"))
    if registry.startswith("oci:") or place is None:
        raise SettingsError(f"image.registry: Docker cannot pull from {registry}: name host[:port]/repository")
    return place["host"], place["repository"]


def remote(settings: Settings, digest: str) -> Remote:
    """How Docker pulls this image, with the account that the registry is opened with.

    Raises SettingsError; RegistryError and Unreachable where ACR gives no token.
    """
    url = settings.toml.image.registry
    host, repository = docker_name(url)
    account = backends.account(settings.toml.image.credentials)
    auth: dict[str, str] | None
    if account is None and (url.startswith("acr:") or host.endswith(".azurecr.io")):
        auth = {"username": ACR_USER, "password": _acr_token(host)}
    elif account := account or docker_account(host, os.environ):
        refresh = account.user == "<token>"
        auth = {"identitytoken": account.secret} if refresh else {"username": account.user, "password": account.secret}
    else:
        auth = None
    return Remote(f"{host}/{repository}", digest, auth and {**auth, "serveraddress": host})


def _acr_token(host: str) -> str:
    from azure.identity import DefaultAzureCredential

    from tandem.registries.acr import refresh_token

    with httpx.Client(timeout=30.0, verify=trusted()) as client:
        return refresh_token(host, DefaultAzureCredential().get_token, client)


@task
def pull_image(host: DockerHost, image: Remote) -> None:
    """Bring the image into the engine.

    Not by prefect-docker's own task: it overlooks an error in the middle, which comes with status 200. Raises
    NotInRegistry, RegistryError, Unreachable, or ReleaseFailed where the engine's disk is full.
    """
    get_run_logger().info("pulling %s", image)
    with host.get_client() as client:
        try:
            lines = client.api.pull(image.name, tag=image.digest, stream=True, decode=True, auth_config=image.auth)
            for line in lines:
                if "error" in line:
                    raise _refusal(image, str(line["error"]), None)
        except APIError as error:
            raise _refusal(image, told(error), error.status_code) from error


class Pulling:
    """The engine as the target `docker:` needs it: see Engine in tandem/targets/docker.py."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.host = settings, docker_host(settings)
        self.address = address(self.host)
        if elsewhere(self.host):
            raise SettingsError(f"the Docker engine at {self.address} is another machine's: docker: needs this one's")

    def pull(self, digest: str) -> str:
        """Docker's name of the image, once the engine has it."""
        image = remote(self.settings, digest)
        with reaching(self.address), self.host.get_client() as client:
            try:
                client.images.get(str(image))
            except ImageNotFound:
                pull_image(self.host, image)
        return str(image)


@contextmanager
def noted(client: docker.DockerClient, image: Remote, folder: Path) -> Iterator[None]:
    """While this is open no trial removes the image; afterwards it stays where a container was made of it.

    What was not in the engine before is noted in `folder`, for `forget_others`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a") as lock:
        flock(lock, LOCK_SH)
        try:
            client.images.get(str(image))
        except ImageNotFound:
            (folder / image.digest.removeprefix("sha256:")).write_text(image.name)
        yield


def forget_others(client: docker.DockerClient, image: Remote, folder: Path) -> None:
    """Remove what trials pulled of this repository before: the newest image stays, and with it the layers it shares.

    Left for the next time while another trial pulls; what a container uses stays too.
    """
    with (folder / ".lock").open("a") as lock, suppress(BlockingIOError):
        flock(lock, LOCK_EX | LOCK_NB)
        for note in folder.glob("[0-9a-f]*"):
            if note.read_text() != image.name or note.name == image.digest.removeprefix("sha256:"):
                continue
            try:
                client.images.remove(f"{image.name}@sha256:{note.name}")
            except ImageNotFound:
                pass
            except APIError:
                continue  # in use
            note.unlink()


def _refusal(image: Remote, text: str, status: int | None) -> TandemError:
    said, small = f"{image}: Docker cannot pull it: {text}", text.lower()
    if any(word in small for word in ("denied", "unauthorized", "forbidden", "authentication", "basic auth")):
        return RegistryError(f"{said}: give [image] credentials that may pull, or run 'docker login' as this user")
    if "http response to https client" in small:
        return RegistryError(f"{said}: name the registry in the engine's insecure-registries, or serve it with TLS")
    if "no space left" in small:
        return ReleaseFailed(f"{said}: free room on the engine's disk ('docker system df')", "environment")
    if "verification failed" in small:
        return DigestMismatch(f"{said}: the registry holds other bytes than were pushed: push the image again")
    if status == 404 or any(words in small for words in ("manifest unknown", "unknown blob", "not found")):
        return NotInRegistry(f"{said}: is it there, and does the engine see the same registry as Tandem?")
    return Unreachable(f"{said}: the engine must reach the registry too")


def told(error: APIError) -> str:
    """The engine's own words."""
    return str(error.explanation or error)
