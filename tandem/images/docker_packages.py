"""What a Dockerfile's image holds, as its own Python sees it: for the lock and the SBOM, which no Dockerfile gives."""

import docker
from docker.errors import APIError, ContainerError

from tandem.images.docker_images import LABEL
from tandem.seams import Registry

LIST = """
import importlib.metadata as metadata, re
named = {re.sub(r"[-_.]+", "-", each.metadata["Name"]).lower(): each.version for each in metadata.distributions()}
print("".join(f"{name}=={version}\\n" for name, version in sorted(named.items())), end="")
"""


def installed(client: docker.DockerClient, image: str, registry: Registry) -> str:
    """The image's Python packages, a `name==version` a line; "" where there is no Python to ask.

    Asked in a container without a network, without rights and without a writable root.
    """
    for python in ("python3", "python"):
        try:
            listed: bytes = client.containers.run(
                image,
                entrypoint=[python, "-I", "-c", LIST],
                command=[],
                remove=True,
                network_mode="none",
                read_only=True,
                cap_drop=["ALL"],
                security_opt=["no-new-privileges"],
                mem_limit="1g",
                labels={LABEL: str(registry)},
            )
        except (APIError, ContainerError):
            continue
        return listed.decode(errors="replace")
    return ""
