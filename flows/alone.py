"""What keeps a trial's container alone: its network, its marks, and the end of what killed trials left behind."""

import io
import ipaddress
import os
import socket
import tarfile
from contextlib import suppress
from pathlib import Path

import docker
from docker.errors import APIError, NotFound
from docker.models.containers import Container
from docker.models.networks import Network
from docker.types import IPAMConfig, IPAMPool

from tandem.targets import launch

TRIAL, OWNER = "dev.tandem.trial", "dev.tandem.owner"


def labels(folder: Path, trial: str) -> dict[str, str]:
    """What marks a container or network as this trial's, of the trials in `folder`."""
    return {TRIAL: trial, OWNER: _owner(folder)}


def _owner(folder: Path) -> str:
    """Whose trials these are: an engine may be shared by several machines and several roots."""
    return f"{socket.gethostname()}:{os.path.realpath(folder)}"


def clear(client: docker.DockerClient, folder: Path) -> None:
    """Remove the containers and networks of this folder's trials that are dead; what is just going is let go."""
    mine: dict[str, str | list[str] | bool] = {"label": [TRIAL, f"{OWNER}={_owner(folder)}"]}
    for container in client.containers.list(all=True, ignore_removed=True, filters=mine):
        if not launch.living(folder / container.labels[TRIAL] / "lock"):
            with suppress(APIError):
                container.remove(force=True, v=True)
    for network in client.networks.list(filters=mine):
        if not launch.living(folder / network.attrs["Labels"][TRIAL] / "lock"):
            with suppress(APIError):
                network.remove()


def network_without_a_way_out(client: docker.DockerClient, name: str, marks: dict[str, str]) -> Network:
    """A network on which published ports are reached from here, and whose containers reach nothing beyond it.

    Docker's `internal` publishes no port, and is kept by a firewall that an engine may be told to leave alone. So the
    containers' gateway is an address that nobody has; which addresses are free, Docker says once.
    """
    probe = client.networks.create(f"{name}-probe", driver="bridge", labels=marks)
    try:
        probe.reload()
        found = next(each for each in probe.attrs["IPAM"]["Config"] if ":" not in each["Subnet"])
    finally:
        probe.remove()
    subnet = ipaddress.ip_network(found["Subnet"])
    nobody = {"DefaultGatewayIPv4": str(subnet.broadcast_address - 1)}
    pool = IPAMPool(subnet=str(subnet), gateway=found.get("Gateway"), aux_addresses=nobody)
    options = {"com.docker.network.enable_ipv6": "false"}  # which engines may be told to switch on for every network
    ipam = IPAMConfig(pool_configs=[pool])
    return client.networks.create(name, driver="bridge", labels=marks, ipam=ipam, options=options)


def user_of(container: Container) -> int | None:
    """The user id that it runs as, by its image's own /etc/passwd; None where that does not know the name."""
    user = (container.attrs["Config"]["User"] or "0").partition(":")[0]
    if user == "root":
        return 0
    if user.isdigit():
        return int(user)
    try:
        pieces, _ = container.get_archive("/etc/passwd")
    except NotFound:
        return None
    with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as tar:
        file = tar.extractfile("passwd") if tar.getmember("passwd").isfile() else None
        lines = file.read().decode(errors="replace").splitlines() if file else []
    fields = (line.split(":") for line in lines)
    return next((int(each[2]) for each in fields if each[0] == user and each[2].isdigit()), None)
