"""A version of an app as a container of this machine's Docker engine, for as long as this process lives.

    DOCKER_HOST=… python -m tandem.targets.contained IMAGE PORT ITS_PORT FOLDER

IMAGE's port ITS_PORT is published on 127.0.0.1:PORT. What it prints is printed here, SIGTERM reaches it, its exit
code is this process's; nothing of it is left afterwards. Where this process is killed, the next of the same
environment (FOLDER) removes its container.
"""

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType

import docker
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.models.containers import Container
from docker.types import LogConfig

from tandem.targets.launch import MARK, living

ENVIRONMENT, LIFE = "dev.tandem.environment", "dev.tandem.life"
ENGINE = 125  # the exit code that says: the engine's trouble, not the image's
ITS_FAULT = ("runtime create failed", "unable to find user", "no command specified")  # of what `start` says
STOP_LIMIT = 25  # seconds from SIGTERM to SIGKILL; the holder gives this process 30


def main(image: str, port: int, its_port: int, folder: str) -> int:
    """Run the container to its end; its exit code. 125: the engine's trouble, 127: a bad command (as `docker run`)."""
    life = os.environ.get(MARK, "")
    stopping: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        stopping.append(number)
        raise KeyboardInterrupt

    try:
        client = docker.from_env(timeout=60)
        clear(client, folder, life)
        container = client.containers.create(
            image,
            ports={f"{its_port}/tcp": ("127.0.0.1", port)},
            labels={ENVIRONMENT: folder, LIFE: life},
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            log_config=LogConfig(type="json-file", config={"max-size": "10m"}),
        )
    except ImageNotFound:
        sys.stderr.write(f"{image} is not in the Docker engine any more: 'tandem release' pulls it again\n")
        return ENGINE
    except DockerException as error:
        sys.stderr.write(f"no container of {image}: {error}\n")
        return ENGINE
    try:
        signal.signal(signal.SIGTERM, stop)
        if code := _started(container):
            return code
        for piece in container.logs(stream=True, follow=True):
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
        return int(container.wait()["StatusCode"])
    except KeyboardInterrupt:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        return _stopped(container)
    except DockerException as error:
        sys.stderr.write(f"{image}: {error}\n")
        return ENGINE
    finally:
        with suppress(DockerException):
            container.remove(force=True, v=True)


def _started(container: Container) -> int:
    try:
        container.start()
    except APIError as error:
        sys.stderr.write(f"the container could not be started: {error.explanation}\n")
        return 127 if any(words in str(error.explanation) for words in ITS_FAULT) else ENGINE
    return 0


def _stopped(container: Container) -> int:
    container.stop(timeout=STOP_LIMIT)
    container.reload()
    return int(container.attrs["State"]["ExitCode"])


def clear(client: docker.DockerClient, folder: str, life: str = "") -> None:
    """Remove what killed ones left: containers of this environment whose process is no more, or had this `life`."""
    for left in client.containers.list(all=True, ignore_removed=True, filters={"label": f"{ENVIRONMENT}={folder}"}):
        if left.labels.get(LIFE) == life or not living(Path(left.labels.get(LIFE, ""))):
            with suppress(NotFound, APIError):
                left.remove(force=True, v=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
