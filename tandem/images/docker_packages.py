"""What an image holds, as its own Python sees it: its packages, for the lock and the SBOM, and that Python itself."""

import json
from collections.abc import Mapping

import docker
from docker.errors import APIError, ContainerError

from tandem.images.docker_images import LABEL
from tandem.images.interpreter import Inhabitant, Interpreter
from tandem.seams import Registry

LOOK = """
import importlib.metadata as metadata, json, os, platform, re, sys
named = {re.sub(r"[-_.]+", "-", each.metadata["Name"]).lower(): each.version for each in metadata.distributions()}
libc = os.confstr("CS_GNU_LIBC_VERSION") if "CS_GNU_LIBC_VERSION" in os.confstr_names else "musl 1.2"
version = platform.python_version().rstrip("+")
print(json.dumps([sys.executable, version, sys.platform, platform.machine(), libc, named]))
"""


def installed(client: docker.DockerClient, image: str, registry: Registry) -> str:
    """The image's Python packages, a `name==version` a line; "" where there is no Python to ask."""
    found = inhabitant(client, image, {LABEL: str(registry)})
    return "".join(f"{name}=={version}\n" for name, version in sorted(found.packages.items())) if found else ""


def inhabitant(client: docker.DockerClient, image: str, labels: Mapping[str, str]) -> Inhabitant | None:
    """The image's Python, as it tells of itself; None where there is none.

    Asked in a container without a network, without rights and without a writable root, which bears the labels.
    """
    for python in ("python3", "python"):
        try:
            said: bytes = client.containers.run(
                image,
                entrypoint=[python, "-I", "-c", LOOK],
                command=[],
                remove=True,
                network_mode="none",
                read_only=True,
                cap_drop=["ALL"],
                security_opt=["no-new-privileges"],
                mem_limit="1g",
                labels=dict(labels),
            )
        except (APIError, ContainerError):
            continue
        path, version, system, machine, libc, named = json.loads(said)
        name, major, minor = libc.replace(".", " ").split()[:3]
        return Inhabitant(path, Interpreter(version, system, machine, (name, int(major), int(minor))), named)
    return None
