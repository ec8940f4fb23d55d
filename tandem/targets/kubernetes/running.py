"""What runs in an environment's namespace, and the address that users use."""

import socket
from collections.abc import Container, Sequence
from typing import Any
from urllib.parse import urlsplit

from tandem.records import Running
from tandem.targets.kubernetes.cluster import Cluster
from tandem.targets.kubernetes.look import is_ready, restart_counts
from tandem.targets.kubernetes.objects import Json, Ref, ref_of
from tandem.targets.kubernetes.prepare import LABEL, SCALED, scales
from tandem.targets.kubernetes.refusal import ApiRefused


def running(cluster: Cluster, label: str, place: str) -> Running:
    """The digests of the ready pods' containers of `place` (HOST/REPOSITORY), as the container runtime says them."""
    pods = [pod for pod in cluster.items("v1", "Pod", f"{LABEL}={label}")[0] if is_ready(pod)]
    digests: dict[str, None] = {}
    restarts = 0
    for pod in pods:
        own = {each["name"] for each in pod["spec"]["containers"] if each["image"].partition("@")[0] == place}
        statuses = [each for each in pod["status"].get("containerStatuses") or () if each["name"] in own]
        digests |= dict.fromkeys(each["imageID"].rpartition("@")[2] for each in statuses)
        restarts += sum(count for name, count in restart_counts(pod).items() if name in own)
    return Running(tuple(digests), address(cluster, label)[0] if digests else None, restarts)


def address(cluster: Cluster, label: str) -> tuple[str | None, str]:
    """The URL that an Ingress, else a Service of type LoadBalancer gives; or None, and what gives none yet."""
    waiting = ""
    for version, kind in (("networking.k8s.io/v1", "Ingress"), ("v1", "Service")):
        for body in _labelled(cluster, version, kind, label):
            if kind == "Service" and body["spec"].get("type") != "LoadBalancer":
                continue
            given = ((body.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
            if given:
                return (_of_ingress if kind == "Ingress" else _of_service)(body, given[0]), ""
            waiting = waiting or f"{kind}/{body['metadata']['name']}"
    return None, waiting


def answers(url: str) -> bool:
    """Whether somebody takes connections there: a load balancer's first ones come a moment after its address."""
    place = urlsplit(url)
    try:
        with socket.create_connection((str(place.hostname), place.port or (443 if place.scheme == "https" else 80)), 2):
            return True
    except OSError:
        return False


def log(cluster: Cluster, label: str, place: str, lines: int) -> str:
    """The last lines of the newest pod's container of `place`; of the one before it, where it has just begun."""
    pods = cluster.items("v1", "Pod", f"{LABEL}={label}")[0]
    for pod in sorted(pods, key=lambda each: str(each["metadata"]["creationTimestamp"]), reverse=True):
        for container in pod["spec"]["containers"]:
            if container["image"].partition("@")[0] == place:
                name = pod["metadata"]["name"]
                found = cluster.logs(name, container["name"], lines)
                if found := found or cluster.logs(name, container["name"], lines, previous=True):
                    return found
    return ""


def scaled(cluster: Cluster, without: Container[Ref] = ()) -> set[tuple[str, str]]:
    """Kind and name of what autoscalers scale, whoever made them: how many pods there are is theirs to say."""
    try:
        return {scales(body) for body in cluster.items("autoscaling/v2", SCALED)[0] if ref_of(body) not in without}
    except ApiRefused:  # a Role that leaves them out: then only those in the app's YAML are known
        return set()


def _labelled(cluster: Cluster, version: str, kind: str, label: str) -> Sequence[Json]:
    try:
        return cluster.items(version, kind, f"{LABEL}={label}")[0]
    except ApiRefused:  # a Role that leaves Ingress out: then the app has none
        return ()


def _of_ingress(body: Json, given: Json) -> str:
    rules: Any = body["spec"].get("rules") or [{}]
    host = rules[0].get("host") or given.get("hostname") or given.get("ip")
    return f"{'https' if body['spec'].get('tls') else 'http'}://{host}"


def _of_service(body: Json, given: Json) -> str:
    host, port = str(given.get("ip") or given.get("hostname")), body["spec"]["ports"][0]["port"]
    host = f"[{host}]" if ":" in host else host
    usual = {80: f"http://{host}", 443: f"https://{host}"}
    return usual.get(port, f"http://{host}:{port}")
