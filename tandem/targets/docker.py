"""`docker:`: an environment on this machine whose versions are containers; any image, behind one address.

All that users meet is `process:`'s: its holder owns the address and leads users from one version to the next. A
version is `python -m tandem.targets.contained`, which runs one container and lives and dies with it.
"""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any, Protocol

import docker
from docker.errors import DockerException, ImageNotFound

from tandem.errors import RegistryError, ReleaseFailed, SettingsError, Unreachable
from tandem.image_config import config_of
from tandem.records import Image, Progress, State, Versioned
from tandem.settings import Request, Settings
from tandem.targets import bundles
from tandem.targets.contained import ENGINE, clear
from tandem.targets.process import ProcessTarget
from tandem.targets.program import Program, environment
from tandem.targets.wire import Connection

HANDED_ON = ("DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY", "DOCKER_CONFIG")  # what the SDK reads to reach the engine


class Engine(Protocol):
    """The Docker engine, and how an image of the app's registry gets into it."""

    address: str

    def pull(self, digest: str) -> str:
        """Docker's name of the image, `host/repository@digest`, once the engine has it.

        Raises RegistryError, NotInRegistry, Unreachable, ReleaseFailed.
        """


class DockerTarget(ProcessTarget):
    """See Target in tandem/seams.py."""

    verb = "pull"
    engine: Callable[[], Engine]

    @classmethod
    def at(cls, settings: Settings, environment: str, engine: Callable[[], Engine]) -> "DockerTarget":
        """The target of an environment whose `target` is `docker:`; `engine` is asked for when something is fetched."""
        target = cls.open(settings, environment)
        target.engine = engine
        return target

    def fetch(self, image: Image) -> Program:
        """Pull the image into the engine, under a name of its own there: other people's tidying leaves it alone."""
        try:
            base = config_of(image).labels.get("dev.tandem.base", "")
            if base.startswith("none"):
                why = f'{image} has no system of its own ([image] base = "none"), only process: runs it: name a base'
                raise ReleaseFailed(why, "environment")
            engine = self.engine()
            pulled = engine.pull(image.digest)
            with closing(docker.DockerClient(base_url=engine.address)) as client:
                found = client.images.get(pulled)
                found.tag(self._repository, self._tag(image.digest))
        except (RegistryError, Unreachable, SettingsError) as error:
            raise ReleaseFailed(f"{image} could not be fetched: {error}", "environment") from error
        except DockerException as error:
            raise _away(error) from error
        folder = bundles.folder_of(self.folder, image.digest)
        folder.mkdir(parents=True, exist_ok=True)
        document: dict[str, Any] = {"digest": image.digest, "id": found.id, "engine": engine.address, "layers": []}
        new = folder / "image.json.new"
        new.write_text(json.dumps(document))
        new.replace(folder / "image.json")
        return self._program(document)

    def kept(self, digest: str) -> Program | None:
        """The program of an image that was pulled before and that the engine still has."""
        folder = bundles.folder_of(self.folder, digest)
        try:
            document: dict[str, Any] = json.loads((folder / "image.json").read_text())
            with closing(docker.DockerClient(base_url=document["engine"])) as client:
                client.images.get(document["id"])
        except (FileNotFoundError, ValueError, ImageNotFound):
            return None
        except DockerException as error:
            raise _away(error) from error
        return self._program(document) if document["digest"] == digest else None

    def prune(self, served: set[str | None]) -> None:
        """Remove from the engine, too, what is not needed any more; what has another name there stays."""
        needed = bundles.needed(self.state().value, served)
        for folder in bundles.unneeded(self.folder, needed):
            with suppress(OSError, ValueError, DockerException):
                document: dict[str, Any] = json.loads((folder / "image.json").read_text())
                with closing(docker.DockerClient(base_url=document["engine"])) as client:
                    client.images.remove(f"{self._repository}:{self._tag(document['digest'])}")
        bundles.prune(self.home, self.folder, needed)

    def stop(self) -> None:
        """End the holder and the containers, also those whose process was killed."""
        super().stop()
        self._clear()

    def _bring_in(
        self, program: Program, expected: Versioned[State], requests: tuple[Request, ...], steady: float = 0.0
    ) -> Iterator[Progress]:
        try:
            yield from super()._bring_in(program, expected, requests, steady)
        finally:
            self._clear()  # a version that was only tried has 2 s to end, and an engine may need longer

    def _clear(self) -> None:
        engines = set()
        for file in (self.folder / "images").glob("*/image.json"):
            with suppress(OSError, ValueError):
                engines.add(json.loads(file.read_text())["engine"])
        for engine in engines:
            with suppress(DockerException), closing(docker.DockerClient(base_url=engine)) as client:
                clear(client, str(self.folder))

    def _try_and_promote(
        self, holder: Connection, program: Program, expected: Versioned[State], requests: tuple[Request, ...]
    ) -> Iterator[Progress]:
        try:
            yield from super()._try_and_promote(holder, program, expected, requests)
        except ReleaseFailed as failure:
            if f"(exit code {ENGINE})" not in failure.reason:
                raise
            raise ReleaseFailed(f"the Docker engine: {failure.reason}", "environment", failure.log) from None

    @property
    def _repository(self) -> str:
        """The name in the engine: this environment's, of this checkout."""
        return f"tandem/{self.folder.name}-{hashlib.sha256(str(self.folder).encode()).hexdigest()[:8]}"

    @staticmethod
    def _tag(digest: str) -> str:
        return digest.removeprefix("sha256:")[:12]

    def _program(self, document: dict[str, Any]) -> Program:
        digest = str(document["digest"])
        folder, port = bundles.folder_of(self.folder, digest), str(self.port)
        ours = {variable: os.environ[variable] for variable in HANDED_ON if variable in os.environ}
        return Program(
            digest=digest,
            root=str(folder),
            argv=(sys.executable, "-m", "tandem.targets.contained", document["id"], "{port}", port, str(self.folder)),
            env={**environment(os.environ, folder, self.folder, {}), **ours, "DOCKER_HOST": str(document["engine"])},
            cwd=str(folder),
            model="",
            port=self.port,
            log=str(bundles.log_of(self.folder, digest)),
        )


def _away(error: DockerException) -> ReleaseFailed:
    return ReleaseFailed(f"the Docker engine: {error}: is it running?", "environment")
