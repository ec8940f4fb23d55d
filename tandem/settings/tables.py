"""The tables of app.toml. deployments/digits/app.toml explains every key."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from tandem.settings.freeze import Timezone, Windows

NAME = r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?"
Name = Annotated[str, Field(pattern=f"^{NAME}$", description="lower-case letters, digits and dashes, 40 at most")]


def _seconds(value: object) -> object:
    """`90`, `"90s"`, `"10m"`, `"2h"`, `"7d"` as seconds."""
    if isinstance(value, str) and (match := re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)", value)):
        return float(match[1]) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]
    if isinstance(value, str):
        raise ValueError('a time is a number of seconds or a text like "90s", "10m", "2h", "7d"')
    return value


Seconds = Annotated[float, BeforeValidator(_seconds), Field(gt=0)]


class Table(BaseModel):
    """A table of app.toml: frozen, and without keys that nobody knows."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Credentials(Table):
    """Where a secret is found: never in app.toml itself."""

    env: str | None = None
    block: str | None = None

    @model_validator(mode="after")
    def _one(self) -> "Credentials":
        if (self.env is None) == (self.block is None):
            raise ValueError('name one place: { env = "VARIABLE" } or { block = "block-type/block-name" }')
        return self


class SourceSettings(Table):
    """[source]: where the code is, and which changes of it matter."""

    repository: str = "."
    branch: str = "main"
    paths: tuple[str, ...] = ()
    credentials: Credentials | None = None
    status: Credentials | None = None
    forge: Literal["github", "gitlab", "azure-devops", "bitbucket", "gitea"] | None = None
    api: str | None = Field(default=None, pattern=r"^https?://[^\s?#@]+$", description="https://… of the forge's API")


class SuiteSettings(Table):
    """[test]: how the app's own tests are run."""

    command: str | tuple[str, ...] = "pytest"
    where: Literal["here", "image"] = "here"
    requirements: tuple[str, ...] = ()
    time_limit: Seconds = 600.0
    model: bool = False
    variables: tuple[str, ...] = ()


class ModelSettings(Table):
    """[model]: which model rides with the code, and what it must be like."""

    store: str
    name: str
    newest: Literal["published", "modified"] = "published"
    require: tuple[str, ...] = ()
    formats: tuple[str, ...] = ("onnx", "safetensors", "json", "txt")
    path: str = "/model"
    credentials: Credentials | None = None

    @field_validator("require", "formats", mode="before")
    @classmethod
    def _several(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("path")
    @classmethod
    def _absolute(cls, value: str) -> str:
        if not value.startswith("/") or value == "/" or ".." in value.split("/"):
            raise ValueError('an absolute path inside the image, such as "/model"')
        return value.rstrip("/")


class ImageSettings(Table):
    """[image]: how code becomes an app image, and how that image is run."""

    builder: Literal["assemble", "docker"] = "assemble"
    base: str = "none"
    requirements: str | None = None
    files: tuple[str, ...] = ("**",)
    command: tuple[str, ...] = ()
    env: Mapping[str, str] = Field(default_factory=dict)
    workdir: str = "/app"
    user: int = Field(default=10001, ge=1, description="a numeric user id, never root's 0")
    port: int = Field(default=8000, ge=1, le=65535)
    platform: str = Field(default="linux/amd64", pattern=r"^linux/(amd64|arm64)$")
    dockerfile: str = "Dockerfile"
    secrets: Mapping[str, Credentials] = Field(default_factory=dict)
    engine: str | None = Field(default=None, pattern="^docker-host/.+$")
    registry: str
    credentials: Credentials | None = None

    @property
    def bare(self) -> bool:
        """Whether the image brings no system of its own, so that only `process:` runs it."""
        return self.builder == "assemble" and self.base == "none"


class Request(Table):
    """[[verify.request]]: a request, and what makes its answer right.

    `json` maps JSON Pointers (RFC 6901) into the answer's body to the values that must stand there.
    """

    path: str = Field(pattern="^/")
    method: Literal["GET", "POST", "PUT", "DELETE", "HEAD"] | None = None
    headers: Mapping[str, str] = Field(default_factory=dict)
    body: Any = None
    status: int = 200
    json_: Mapping[str, Any] = Field(default_factory=dict, alias="json")
    contains: str | None = None
    within: Seconds = 10.0

    @property
    def verb(self) -> str:
        """The method; POST where there is a body and no method is named."""
        return self.method or ("GET" if self.body is None else "POST")


class VerifySettings(Table):
    """[verify]: how Tandem knows, from outside, that the app works."""

    ready: str = Field(default="/", pattern="^/")
    time_limit: Seconds = 60.0
    request: tuple[Request, ...] = ()


class EnvironmentVerify(Table):
    """[environments.NAME.verify]: requests beyond those of [verify], for this environment only."""

    request: tuple[Request, ...] = ()
    soak: Annotated[float, BeforeValidator(_seconds), Field(ge=0)] = 0.0


class EnvironmentSettings(Table):
    """[environments.NAME]: one target, and who may go there."""

    target: str
    address: str = Field(default="127.0.0.1:8000", description="where process: and docker: listen, host:port")
    pull_secret: bool = False
    dns_label: str | None = Field(default=None, pattern=r"^[a-z](?:[a-z0-9-]{1,61}[a-z0-9])$")
    location: str | None = Field(default=None, pattern=r"^[a-z0-9]+$", description="an Azure region, as westeurope")
    resolver: str | None = Field(default=None, pattern=r"^[0-9a-f.:\[\]]+$", description="a DNS server, IP or IP:port")
    after: str | None = None
    follow: bool = False
    approval: bool = False
    approval_expires: Seconds = 7 * 86400.0
    freeze: Windows = ()
    timezone: Timezone = "UTC"
    verify: EnvironmentVerify = EnvironmentVerify()


MessageKind = Literal[
    "integrate failed", "released", "rolled back", "release failed", "approval wanted", "nightly late", "trouble"
]


class MessagesSettings(Table):
    """[messages]: who hears of what; `to` and `author` name where Apprise URLs are, which hold tokens."""

    to: tuple[Credentials, ...] = ()
    author: Credentials | None = None
    on: tuple[MessageKind, ...] = get_args(MessageKind)


HookSender = Literal["github", "gitlab", "azure-devops", "bitbucket", "gitea", "event-grid", "generic"]


class HookSecret(Table):
    """[hooks]: the receiver's environment variable that holds a sender's secret."""

    env: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="the name of an environment variable")


class AppSettings(Table):
    """The whole of app.toml."""

    source: SourceSettings = SourceSettings()
    test: SuiteSettings = SuiteSettings()
    model: ModelSettings
    image: ImageSettings
    verify: VerifySettings = VerifySettings()
    messages: MessagesSettings = MessagesSettings()
    hooks: Mapping[HookSender, HookSecret] = Field(default_factory=dict)
    environments: Mapping[Name, EnvironmentSettings] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _known_environments(self) -> "AppSettings":
        for name, environment in self.environments.items():
            if environment.after is not None and environment.after not in self.environments:
                there = f"there are: {', '.join(self.environments)}"
                raise ValueError(f"environments.{name}.after: no environment {environment.after!r}; {there}")
        return self
