"""An image tried in Docker: alone, without rights and without a way out, as a strict platform would run it.

The container's steps are prefect-docker's tasks, so that a run's page shows them.
"""

import math
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import docker
import requests
from docker.errors import APIError, DockerException
from docker.models.containers import Container
from docker.models.networks import Network
from docker.types import LogConfig
from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect_docker.containers import (
    create_docker_container,
    remove_docker_container,
    start_docker_container,
    stop_docker_container,
)

from tandem.errors import ImageFailed
from tandem.images.carry import FILES
from tandem.records import Image
from tandem.settings import VerifySettings
from tandem.targets.contained import ITS_FAULT
from tandem.targets.trial import STOP_LIMIT, Trial, living_folder
from tandem.targets.verify import ask_all, failures, wait_ready

from . import alone
from .engine import Engine, Remote, forget_others, noted, pull_image, reaching, told

MEMORY = 2 * 1024**3  # bytes; four times the model where that is more
PROCESSES = 512
LAST_LINES, LAST_CHARACTERS = 50, 20_000


@dataclass(frozen=True)
class Wish:
    """What the container is given, and what is asked of it: `port` is the app's own, `memory` is in bytes."""

    verify: VerifySettings
    port: int
    dockerfile: str = "Dockerfile"
    memory: int = MEMORY
    stop_limit: float = STOP_LIMIT


def memory(image: Image) -> int:
    """How many bytes of memory a container of the image is given."""
    return max(MEMORY, 4 * sum(layer.size for layer in image.manifest.layers if FILES in layer.annotations))


def as_task(task: Task[..., Any], name: str, /, *arguments: Any, **options: Any) -> Any:
    """Run prefect-docker's task under a name for people; its result, or what it raised."""
    named = task.with_options(name=name, task_run_name=name, cache_policy=NO_CACHE, persist_result=False)
    return named.submit(*arguments, **options).result()


def try_in_docker(engine: Engine, image: Remote, wish: Wish, folder: Path, step: Callable[..., Any] = as_task) -> Trial:
    """Start the image, see it ready and right, see it obey SIGTERM, leave no container and no network behind.

    `folder` holds the trials; `step` runs a task of prefect-docker. Raises ImageFailed with the app's last lines;
    NotInRegistry, RegistryError, Unreachable where the image cannot be had; ReleaseFailed where the engine fails.
    """
    with (
        reaching(engine.address),
        engine.host.get_client() as client,
        living_folder(folder, lambda: alone.clear(client, folder)) as scratch,
    ):
        return _Attempt(engine, client, image, wish, folder, scratch.name, step).run()


@dataclass(frozen=True)
class _Attempt:
    engine: Engine
    client: docker.DockerClient
    image: Remote
    wish: Wish
    folder: Path
    name: str
    step: Callable[..., Any]

    def run(self) -> Trial:
        with ExitStack() as left:
            network = alone.network_without_a_way_out(self.client, f"tandem-trial-{self.name}", self.labels)
            left.callback(at_last, network.remove)
            with noted(self.client, self.image, self.folder / "pulled"):
                self.step(pull_image, "pull image", self.engine.host, self.image)
                container = self.create(network)
            left.callback(at_last, forget_others, self.client, self.image, self.folder / "pulled")
            left.callback(
                at_last, self.step, remove_docker_container, "remove container", container.id,
                docker_host=self.engine.host, force=True, v=True,
            )  # fmt: skip
            return self.tried(container)

    @property
    def labels(self) -> dict[str, str]:
        return alone.labels(self.folder, self.name)

    def create(self, network: Network) -> Container:
        container = self.step(
            create_docker_container, "create container", str(self.image), docker_host=self.engine.host,
            name=network.name, network=network.name, labels=self.labels,
            ports={f"{self.wish.port}/tcp": ("127.0.0.1", None)},
            dns=["127.0.0.1"], dns_opt=["timeout:1", "attempts:1"],  # else the engine's own would carry names out
            read_only=True, tmpfs={"/tmp": "mode=1777,exec"},  # noqa: S108
            cap_drop=["ALL"], security_opt=["no-new-privileges"], privileged=False,
            pids_limit=PROCESSES, mem_limit=self.wish.memory, memswap_limit=self.wish.memory,
            log_config=LogConfig(type="json-file", config={"max-size": "10m"}),
        )  # fmt: skip
        return self.client.containers.get(container.id)

    def tried(self, container: Container) -> Trial:
        wish, host = self.wish, self.engine.host
        if alone.user_of(container) == 0:
            raise ImageFailed(
                f"{self.image} runs as root: end {wish.dockerfile} with 'USER 10001' (or another number), or correct "
                "[image] user; platforms that are strict do not start it"
            )
        try:
            self.step(start_docker_container, "start container", container.id, docker_host=host)
        except APIError as error:
            said = told(error)
            if not any(word in said for word in ITS_FAULT):
                raise
            raise self.failed(container, f"it could not be started: {said}") from None
        address = self.address(container)
        ready = wait_ready(address, wish.verify, lambda: self.ended(container))
        if ready.failure:
            raise self.failed(container, ready.failure + self.hint(ready.failure))
        checks = ask_all(address, wish.verify.request)
        wrong = failures(checks)
        if ended := self.ended(container):
            wrong.append(ended)
        if wrong:
            raise self.failed(container, "; ".join(wrong))
        asked = _time(self.client.info()["SystemTime"])
        limit = math.ceil(wish.stop_limit)
        self.step(stop_docker_container, "stop container", container.id, docker_host=host, timeout=limit)
        state = _state(container)
        took = (_time(state["FinishedAt"]) - asked).total_seconds()
        if state["OOMKilled"]:
            raise self.failed(container, _killed(wish))
        if took >= limit:
            why = f"it did not end within {limit} s of SIGTERM and was killed: each release would wait for it"
            raise self.failed(container, why)
        return Trial(ready.seconds, checks, max(took, 0.0), f"docker {self.engine.version}")

    def address(self, container: Container) -> str:
        """Where the app answers; where it has ended already, an address that nothing answers at."""
        container.reload()
        published = container.attrs["NetworkSettings"]["Ports"].get(f"{self.wish.port}/tcp")
        return f"http://127.0.0.1:{published[0]['HostPort'] if published else 9}"

    def hint(self, failure: str) -> str:
        """What may be meant, where nothing answers at the port."""
        exposed = self.client.images.get(str(self.image)).attrs["Config"].get("ExposedPorts") or {}
        if exposed and f"{self.wish.port}/tcp" not in exposed:
            return f"; the image exposes {', '.join(sorted(exposed))}, [image] port is {self.wish.port}"
        if "refused" in failure:
            return "; the engine's published ports must be this machine's own: is Tandem itself in a container?"
        return ""

    def ended(self, container: Container) -> str | None:
        state = _state(container)
        if state["OOMKilled"]:
            return _killed(self.wish)
        return None if state["Running"] else f"the app ended (exit code {state['ExitCode']})"

    def failed(self, container: Container, reason: str) -> ImageFailed:
        # not by prefect-docker's task, which stops at bytes that are not UTF-8
        log = container.logs(tail=LAST_LINES).decode(errors="replace").strip()[-LAST_CHARACTERS:]
        said = f"the last that it printed:\n{log}" if log else "it printed nothing"
        return ImageFailed(f"{self.image} does not work: {reason}\n{said}")


def at_last(do: Callable[..., object], *arguments: Any, **options: Any) -> None:
    """Tidy up; what fails here the next trial removes, and it hides nothing of how this one went."""
    with suppress(DockerException, requests.RequestException):
        do(*arguments, **options)


def _killed(wish: Wish) -> str:
    return f"it needed more memory than the {wish.memory / 1024**2:,.0f} MiB of its trial, and was killed"


def _state(container: Container) -> dict[str, Any]:
    container.reload()
    state: dict[str, Any] = container.attrs["State"]
    return state


def _time(text: str) -> datetime:
    """Docker's RFC 3339 with nanoseconds; more than microseconds are cut off."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}.{fraction[:6]:0<6}+00:00")
