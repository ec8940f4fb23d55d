"""The seams' backends for an app's settings; Prefect's blocks are resolved here and handed on as plain values."""

import os
from collections.abc import Callable, Mapping
from functools import cache, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar, cast
from weakref import WeakKeyDictionary

from pydantic import Field

from tandem.errors import NotInRegistry, SettingsError
from tandem.images import open_builder
from tandem.images.base import split
from tandem.manifests import image_of
from tandem.models import open_store
from tandem.records import Descriptor, Image
from tandem.registries import PLACE, open_registry
from tandem.registries.login import Account
from tandem.seams import Builder, Registry, Store, Target
from tandem.settings import NAME, Credentials, ImageSettings, ModelSettings, Settings
from tandem.source import Repository
from tandem.targets import Given, open_target
from tandem.targets.kubernetes.objects import File

if TYPE_CHECKING:  # Prefect takes a second to import, and `tandem status` needs none of it
    from prefect.blocks.core import Block

    from tandem.targets.docker import Engine

AppName = Annotated[str, Field(pattern=f"^{NAME}$", description="An app folder's name: deployments/<app>/")]
EnvironmentName = Annotated[str, Field(pattern=f"^{NAME}$", description="One of app.toml's [environments.NAME]")]

T = TypeVar("T")


def once(opens: Callable[[Settings], T]) -> Callable[[Settings], T]:
    """Opened once for a run's settings: its connection, its login and what it fetched last as long as they do."""
    opened: WeakKeyDictionary[Settings, T] = WeakKeyDictionary()

    @wraps(opens)
    def opens_once(settings: Settings) -> T:
        if settings not in opened:
            opened[settings] = opens(settings)
        return opened[settings]

    return opens_once


@once
def repository(settings: Settings) -> Repository:
    """The app's git repository."""
    source = settings.toml.source
    return Repository(source, settings.app, settings.root, secret(source.credentials, "source.credentials"))


@once
def store(settings: Settings) -> Store:
    """Where the app's model is published."""
    return open_store(settings.toml.model, settings.root, credential=store_credential(settings.toml.model))


@once
def registry(settings: Settings) -> Registry:
    """Where the app's images are kept."""
    wish = settings.toml.image
    return open_registry(wish.registry, settings.root, account(wish.credentials), _beside(wish))


def _beside(image: ImageSettings) -> tuple[str, ...]:
    """The repository of a base on the registry's own host: its layers are mounted, and not carried."""
    if image.builder != "assemble" or image.bare:
        return ()
    places = [PLACE.fullmatch(url.removeprefix("acr:")) for url in (image.registry, split(image.base)[0])]
    own, base = (place and (place["host"], place["repository"]) for place in places)
    return (base[1],) if own and base and own[0] == base[0] and own != base else ()


def account(credentials: Credentials | None) -> Account | None:
    """A registry's user and password: a prefect-docker block, or a variable that holds USER:PASSWORD."""
    if credentials is None:
        return None
    if credentials.block is not None:
        from prefect_docker import DockerRegistryCredentials

        block = load_block(credentials, "image.credentials")
        if not isinstance(block, DockerRegistryCredentials):
            wanted = "a docker-registry-credentials block is wanted"
            raise SettingsError(f"image.credentials: {credentials.block} is a {type(block).__name__}, {wanted}")
        return Account(block.username, block.password.get_secret_value())
    user, colon, password = str(secret(credentials, "image.credentials")).partition(":")
    if not colon:
        raise SettingsError(f"image.credentials: the variable {credentials.env} must hold USER:PASSWORD")
    return Account(user, password)


def builder(settings: Settings, remembered: Mapping[str, Descriptor]) -> Builder:
    """What makes the app image; `remembered` are the layers of packages in earlier ones."""
    wish, daemon = settings.toml, None
    if wish.image.builder == "docker":
        from . import building

        daemon = building.daemon(settings)
    return open_builder(
        wish.image, settings.root, open_base(settings), model=wish.model.path, remembered=remembered, daemon=daemon
    )


def open_base(settings: Settings) -> Callable[[str], Registry]:
    """Opens the registry that a base image is in; one on the app's own host, with the app's account."""
    wish = settings.toml.image
    own = account(wish.credentials) if _beside(wish) else None
    return lambda url: open_registry(url, settings.root, own)


def target(settings: Settings, environment: str) -> Target:
    """What runs the app in this environment."""

    def engine() -> "Engine":
        from .engine import Pulling

        return Pulling(settings)

    credentials = settings.toml.image.credentials

    def login() -> tuple[str, str] | None:
        found = account(credentials)
        return (found.user, found.secret) if found else None

    @cache
    def files(commit: str) -> list[File]:
        return kubernetes_yaml(settings, environment, commit)

    return open_target(settings, environment, Given(engine, files, login if credentials else None))


def kubernetes_yaml(settings: Settings, environment: str, commit: str) -> list[File]:
    """deployments/APP/kubernetes/ at a commit ("": the newest) where the app's repository has it, else as it is here.

    The files of the folder itself, and of the environment's own folder in it.
    """
    place = f"deployments/{settings.app}/kubernetes"
    code = repository(settings)
    found = code.files(commit or code.newest().id, place)
    here = settings.root / place
    if not found:
        found = {str(file.relative_to(here)): file.read_bytes() for file in here.rglob("*") if file.is_file()}
    wanted = [path for path in sorted(found) if path.endswith((".yaml", ".yml", ".json"))]
    folders = {path: path.rpartition("/")[0] for path in wanted}
    return [
        File(f"{place}/{path}", found[path], folders[path] != "")
        for path in wanted
        if folders[path] in ("", environment)
    ]


def image(where: Registry, reference: str) -> Image:
    """An image by tag or digest, or NotInRegistry."""
    found = image_of(where, reference)
    if found is None:
        raise NotInRegistry(f"no image {reference} in {where}: 'tandem candidates' lists those there are")
    return found


def store_credential(model: ModelSettings) -> object:
    """What opens the model's store, as its backend takes it; None where app.toml names nothing.

    A secret (`env`, or a Secret block) as it is; from prefect-azure's AzureBlobStorageCredentials its connection
    string, its service principal, or the identity at hand. Raises SettingsError.
    """
    key, named = "model.credentials", model.credentials
    if named is None or named.block is None or named.block.startswith("secret/"):
        return secret(named, key)
    from azure.identity import ClientSecretCredential, DefaultAzureCredential
    from prefect_azure import AzureBlobStorageCredentials

    block = load_block(named, key)
    if not isinstance(block, AzureBlobStorageCredentials):
        wanted = "secret or azure-blob-storage-credentials is wanted"
        raise SettingsError(f"{key}: {named.block} is a {type(block).__name__}, {wanted}")
    if block.connection_string is not None:
        return block.connection_string.get_secret_value()
    if f"{str(block.account_url).rstrip('/')}/" not in f"{model.store}/":
        raise SettingsError(f"{key}: {named.block} is for {block.account_url}, [model].store is {model.store}")
    if block.client_id and block.tenant_id and block.client_secret:
        return ClientSecretCredential(block.tenant_id, block.client_id, block.client_secret.get_secret_value())
    return DefaultAzureCredential()


def secret(credentials: Credentials | None, key: str) -> str | None:
    """A secret by the place that app.toml names; SettingsError, naming `key`, where nothing is there."""
    if credentials is None:
        return None
    if credentials.env is not None:
        value = os.environ.get(credentials.env)
        if not value:
            raise SettingsError(f"{key}: the environment variable {credentials.env} is not set here")
        return value
    from prefect.blocks.system import Secret

    block = load_block(credentials, key)
    if not isinstance(block, Secret):
        raise SettingsError(f"{key}: block {credentials.block} is a {type(block).__name__}, a Secret is wanted")
    return str(block.get())


def load_block(credentials: Credentials, key: str) -> "Block":
    """The Prefect block that app.toml names as TYPE/NAME; SettingsError where there is none."""
    from prefect.blocks.core import Block

    try:
        return cast(Block, Block.load(str(credentials.block)))
    except ValueError as error:
        raise SettingsError(f"{key}: no Prefect block {credentials.block!r}: {error}") from None


def scratch(settings: Settings, kind: str) -> Path:
    """A folder of this machine's own below .tandem/, made where it is not there yet."""
    folder = settings.home / kind
    folder.mkdir(parents=True, exist_ok=True)
    return folder
