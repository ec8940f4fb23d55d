"""The app's own suite in a container of its image: the image's interpreter, packages and user, and no network.

The commit goes in as a copy that belongs to the image's user, and with it what the tests need beside the image's
packages; JUnit's XML comes out. Nothing is mounted, so nothing of this machine is written, or left to be removed.
"""

import os
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import docker
from docker.errors import APIError
from docker.models.containers import Container
from docker.types import LogConfig

from tandem.errors import BuildFailed, SuiteFailed
from tandem.images.beside import beside
from tandem.images.docker_packages import inhabitant
from tandem.images.interpreter import Inhabitant
from tandem.records import Image, Source
from tandem.run import TICK, Batches, Finished, Say
from tandem.settings import Settings, SuiteSettings
from tandem.source import SuiteReport
from tandem.source import requirements as files
from tandem.source.report import XML
from tandem.source.surroundings import asked
from tandem.source.verdict import judged, telling, words
from tandem.targets.contained import ITS_FAULT
from tandem.targets.trial import living_folder

from . import alone, backends, packing
from .container import MEMORY, as_task, at_last, memory
from .engine import Engine, Remote, noted, pull_image, reaching, remote, told

PROCESSES = 2000
GRACE = 3.0  # seconds from SIGINT, at which pytest says where it was, to SIGKILL


@dataclass(frozen=True)
class Setting:
    """What a suite is given: `model` is the model's folder in the image, `cache` keeps packages between runs.

    `variables` is the environment that [test].variables chooses from; `memory` is in bytes.
    """

    suite: SuiteSettings
    variables: Mapping[str, str] = field(repr=False)
    model: str
    cache: Path
    say: Say
    memory: int = MEMORY
    step: Callable[..., Any] = as_task


def run_inside(engine: Engine, settings: Settings, source: Source, image: Image, say: Say) -> SuiteReport:
    """Run [test].command in the image, by its digest. Raises as `run_in_docker`, and SettingsError."""
    wish, cache = settings.toml, settings.home / "cache" / "tests"
    setting = Setting(wish.test, os.environ, wish.model.path, cache, say, memory(image))
    return run_in_docker(engine, remote(settings, image.digest), setting, source, backends.scratch(settings, "trials"))


def run_in_docker(engine: Engine, image: Remote, setting: Setting, source: Source, folder: Path) -> SuiteReport:
    """What the suite's tests did; `folder` holds the trials, whose containers are removed when their run was killed.

    Raises SuiteFailed where a test fails, the time limit is over, no test was executed, or its packages do not fit
    the image's; NotInRegistry, RegistryError, Unreachable where image or packages cannot be had; ReleaseFailed where
    the engine fails.
    """
    with (
        reaching(engine.address),
        engine.host.get_client() as client,
        living_folder(folder, lambda: alone.clear(client, folder)) as scratch,
        ExitStack() as left,
    ):
        labels = alone.labels(folder, scratch.name)
        with noted(client, image, folder / "pulled"):
            setting.step(pull_image, "pull image", engine.host, image)
            container = _create(client, image, setting, labels, f"tandem-suite-{scratch.name}")
        left.callback(at_last, container.remove, force=True, v=True)
        _fill(client, container, setting, source, scratch)
        setting.say(f"the app's tests run in {image}, by Docker {engine.version}, without a network")
        finished = _finished(container, setting)
        junit = packing.taken(container, f"{packing.OUT}/junit.xml", scratch / "junit.xml", XML)
        return judged(setting.suite, finished, junit, sandboxed=True, where=f"docker {engine.version}")


def _create(
    client: docker.DockerClient, image: Remote, setting: Setting, labels: dict[str, str], name: str
) -> Container:
    its = client.images.get(str(image)).attrs["Config"]["Env"] or []
    env = _environment(dict(each.partition("=")[::2] for each in its), setting)
    return client.containers.create(
        str(image), command=[], entrypoint=list(words(setting.suite.command)), working_dir=packing.SOURCE,
        environment=env, name=name, labels=labels, network_mode="none", healthcheck={"test": ["NONE"]},
        cap_drop=["ALL"], security_opt=["no-new-privileges"], privileged=False, pids_limit=PROCESSES,
        mem_limit=setting.memory, memswap_limit=setting.memory, log_config=LogConfig(type="none"),
    )  # fmt: skip


def _environment(its: Mapping[str, str], setting: Setting) -> dict[str, str]:
    """The image's own, what [test].variables names, and a scratch HOME; the tests' packages come last on PATH."""
    suite = setting.suite
    path, modules = its.get("PATH", "/usr/local/bin:/usr/bin:/bin"), its.get("PYTHONPATH")
    own = {
        "PATH": f"{path}:{packing.PACKAGES}/bin",
        "PYTHONPATH": f"{modules}:{packing.MODULES}" if modules else packing.MODULES,
        "PYTHONUNBUFFERED": "1",
        "HOME": packing.HOME,
        "TMPDIR": packing.TEMPORARY,
        "TERM": "dumb",
        **({"MODEL_DIR": setting.model} if suite.model else {}),
    }
    env = {**its, **asked(suite.variables, setting.variables, setting.say), **own}
    return telling(words(suite.command), env, f"{packing.OUT}/junit.xml")


def _fill(client: docker.DockerClient, container: Container, setting: Setting, source: Source, scratch: Path) -> None:
    """The commit's files, and the packages of [test].requirements that the image does not hold."""
    suite, root, image = setting.suite, Path(source.folder), str(container.attrs["Config"]["Image"])
    python: Inhabitant | None = None
    if suite.requirements:
        if files.read(root, suite.requirements).local:
            why = "the commit itself is not installed there; it is the working directory: take its line out"
            raise SuiteFailed(f'test.requirements, with where = "image": {why}')
        if (python := inhabitant(client, image, container.labels)) is None:
            raise SuiteFailed(f"test.requirements: {image} holds no python3 that they could be for")
    try:
        with tempfile.TemporaryFile(dir=scratch) as file:
            with tarfile.open(fileobj=file, mode="w") as tar:
                packing.pack(tar, root, alone.user_of(container) or 0)
                if python:
                    with beside(python, suite.requirements, root, setting.cache) as packages:
                        packing.pack_packages(tar, packages, python)
            file.seek(0)
            container.put_archive("/", file)
    except BuildFailed as error:
        raise SuiteFailed(f"test.requirements, beside the image's own packages: {error}") from None


def _finished(container: Container, setting: Setting) -> Finished:
    """The suite, from its start to its end or its time limit; nothing of it runs afterwards."""
    batches, late = Batches(setting.say), False
    output = container.attach(stream=True)
    began = time.monotonic()
    try:
        container.start()
    except APIError as error:
        if any(word in told(error) for word in ITS_FAULT):
            raise SuiteFailed(f"test.command could not be started in the image: {told(error)}") from None
        raise
    pieces: SimpleQueue[bytes | None] = SimpleQueue()
    threading.Thread(target=_pump, args=(output, pieces), daemon=True).start()
    limit = setting.suite.time_limit
    ahead = [(limit, "SIGINT"), (limit + GRACE, "SIGKILL"), (limit + 4 * GRACE, None)]
    while (piece := _next(pieces)) is not None:
        batches.take(piece)
        if time.monotonic() - began < ahead[0][0]:
            continue
        late, (_, signal) = True, ahead.pop(0)
        if signal is None:  # an engine that does not even do that is not waited for
            break
        with suppress(APIError):  # it has just ended
            container.kill(signal)
    code = int(container.wait(timeout=30)["StatusCode"])
    container.reload()
    if container.attrs["State"]["OOMKilled"]:
        batches.take(f"\ntandem: more than {setting.memory / 1024**2:,.0f} MiB of memory: killed\n".encode())
    batches.end()
    return Finished(code, batches.kept(), time.monotonic() - began, late)


def _pump(output: Iterator[bytes], pieces: SimpleQueue[bytes | None]) -> None:
    """What the container prints, and None at its end; on a thread, since Docker's stream cannot be waited for."""
    try:
        for piece in output:
            pieces.put(piece)
    finally:
        pieces.put(None)


def _next(pieces: SimpleQueue[bytes | None]) -> bytes | None:
    try:
        return pieces.get(timeout=TICK)
    except Empty:
        return b""
