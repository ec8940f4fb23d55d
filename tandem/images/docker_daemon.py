"""A Docker daemon as the builder meets it: how it is reached, and what its failures mean."""

import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import docker
import requests
import urllib3
from docker.errors import APIError, DockerException

from tandem.errors import BuildFailed, RegistryError, TandemError, Unreachable
from tandem.records import Progress
from tandem.run import Say, without_secrets

SILENCE = 1800  # seconds without a word from the daemon: a RUN may be quiet for long
NAMED = "start it, or say where one is by DOCKER_HOST or by [image] engine in app.toml"
AWAY = re.compile(
    r"dial tcp|i/o timeout|handshake timeout|no such host|connection re(?:fused|set)|toomanyrequests| 50[0234] "
)
ROLES = "in Azure: AcrPush, or Container Registry Repository Writer where the registry uses ABAC"


@dataclass(frozen=True)
class Daemon:
    """A Docker daemon, what a build may show to it, and whom it tells how the build goes.

    `url` is its DOCKER_HOST, or "" for the environment's. `login` gives docker's auth_config for the app's registry,
    or None where docker's own configuration decides. `secrets` are [image].secrets by their ids.
    """

    open: Callable[[], docker.DockerClient]
    url: str = ""
    login: Callable[[], Mapping[str, str] | None] = lambda: None
    secrets: Callable[[], Mapping[str, str]] = field(default=dict, repr=False)
    say: Say = print
    tell: Callable[[Progress], None] = lambda progress: None

    def __str__(self) -> str:
        return without_secrets(self.url or os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock")


@contextmanager
def reached(daemon: Daemon) -> Iterator[docker.DockerClient]:
    """A client of the daemon. Raises Unreachable, with what to do, where it is away, or goes away meanwhile."""
    with told(daemon, "the daemon is not there"):
        client = daemon.open()
    try:
        client.api.timeout = SILENCE
        with told(daemon, "the daemon went away meanwhile"):
            yield client
    finally:
        client.close()


@contextmanager
def told(daemon: Daemon, doing: str) -> Iterator[None]:
    """What docker's SDK raises, as our errors."""
    try:
        yield
    except TandemError:
        raise
    except APIError as error:
        raise BuildFailed(f"Docker at {daemon}: {_explained(error)}{_remedy(_explained(error))}") from error
    except (DockerException, requests.RequestException, urllib3.exceptions.HTTPError, ConnectionError) as error:
        if "ermission denied" in str(error):
            do = "let this user use it (on Linux the group 'docker'), or name another by DOCKER_HOST"
        else:
            do = NAMED
        raise Unreachable(f"Docker at {daemon}: {doing}: {_innermost(error)}: {do}") from error
    except OSError as error:
        raise BuildFailed(f"building on this machine: {error}: is there room in {tempfile.gettempdir()}?") from error


def log_in(client: docker.DockerClient, daemon: Daemon, name: str) -> Mapping[str, str] | None:
    """Docker's auth_config for pushing to `name`. The client knows it from then on: the base may be there too.

    Raises RegistryError, Unreachable.
    """
    given = daemon.login()
    if given and "username" in given:
        host = name.partition("/")[0]
        try:
            client.login(given["username"], given["password"], registry=host, reauth=True)
        except APIError as error:
            raise push_failure(f"logging in: {_explained(error)}", name) from None
    return given


def build_failure(where: str, said: str, tail: str) -> TandemError:
    """What a failed build means, at `where` in the Dockerfile, with the last lines of its output."""
    if AWAY.search(said):
        return Unreachable(f"{where}: {said}: the daemon must reach it: try again, or mend its network or proxy")
    return BuildFailed(f"{where}: {said}{_remedy(f'{said} {tail}')}" + (f"\n{tail}" if tail else ""))


def _remedy(said: str) -> str:
    """What to do about a daemon's message; "" where it says enough."""
    if "no space left on device" in said.lower():
        return ": the daemon's disk is full: make room there ('docker system df', 'docker system prune')"
    if "pull access denied" in said or "manifest unknown" in said or "not found: manifest" in said:
        return ": is the name right, and may this daemon pull it ('docker login', [image] credentials)?"
    return ""


def push_failure(said: str, name: str) -> TandemError:
    """What a refused push means."""
    words, low = f"Docker pushing {name}: {said}", said.lower()
    if "no space left" in low:
        return RegistryError(f"{words}: the disk is full, the registry's or the daemon's: make room there")
    if "http response to https client" in low:
        host = name.partition("/")[0]
        return RegistryError(f"{words}: name {host} in the daemon's insecure-registries, or give the registry TLS")
    if any(word in low for word in ("denied", "unauthorized", "no basic auth", "authentication required", "forbidden")):
        return RegistryError(f"{words}: log in with what may push: 'docker login', or [image] credentials; {ROLES}")
    return Unreachable(f"{words}: try again; the daemon itself must reach the registry")


def _explained(error: APIError) -> str:
    return str(error.explanation or error).strip()


def _innermost(error: BaseException) -> str:
    """The text of what went wrong, without the layers of the HTTP library around it."""
    seen: list[BaseException] = [error]
    while (inner := seen[-1].__cause__ or seen[-1].__context__) is not None and inner not in seen:
        seen.append(inner)
    reasons = [each for each in seen if isinstance(each, OSError) and each.strerror]
    return str(reasons[-1].strerror if reasons else error)
