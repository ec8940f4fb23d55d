"""What a Docker daemon keeps of ours: the newest image for each registry, and the last build that failed.

They are the next build's cache.
"""

import hashlib
import re
import time
from contextlib import suppress
from datetime import datetime

import docker
from docker.errors import APIError, DockerException, ImageNotFound
from requests import RequestException

from tandem.seams import Registry

LABEL = "dev.tandem.build"  # the registry that an image was built for
KEPT = "tandem.local"
FORGOTTEN = 6 * 3600.0  # seconds after which no living build still needs its tag


def local_name(registry: Registry) -> str:
    """What the daemon calls an image: for a registry that it can push to, its name there."""
    name = str(registry)
    return kept_name(registry) if name.startswith("oci:") else re.sub(r"^\w+://", "", name)


def tidy(client: docker.DockerClient, built: str, registry: Registry, tag: str) -> None:
    """Keep the image just built, and nothing else of ours for this registry, not what killed builds left either."""
    name, label = local_name(registry), f"{LABEL}={registry}"
    with suppress(DockerException, RequestException):  # the next build does it
        client.api.tag(built, kept_name(registry), "newest", force=True)
        _untag(client, f"{name}:{tag}")
        with suppress(ImageNotFound):
            client.api.remove_image(f"{kept_name(registry)}:failed")
        for image in client.api.images(filters={"label": label}):
            if time.time() - _seconds(image["Created"]) > FORGOTTEN:
                for other in image.get("RepoTags") or ():
                    if other.startswith(f"{name}:build-"):
                        _untag(client, other)
        client.images.prune({"dangling": True, "label": label})


def keep_failed(client: docker.DockerClient, made: str, registry: Registry) -> None:
    """Keep what a failed build came to, which the next one goes on from; and no more the one that failed before it."""
    if not made:
        return
    with suppress(APIError):
        before = client.api.images(f"{kept_name(registry)}:failed", quiet=True)
        client.api.tag(made, kept_name(registry), "failed", force=True)
        for other in (each for each in before if made not in each):
            client.api.remove_image(other)  # refused where something stands on it


def _untag(client: docker.DockerClient, name: str) -> None:
    with suppress(ImageNotFound):
        client.api.remove_image(name, noprune=True)


def kept_name(registry: Registry) -> str:
    """The daemon's name for what it keeps: `:newest`, and `:failed` where the last build did."""
    return f"{KEPT}/{hashlib.sha256(str(registry).encode()).hexdigest()[:16]}"


def _seconds(created: int | str) -> float:
    return datetime.fromisoformat(created).timestamp() if isinstance(created, str) else float(created)
