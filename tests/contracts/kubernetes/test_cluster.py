"""What the other tests here stand on: the cluster pulls, names resolve, an address answers, a lost part comes back."""

import json
import signal
import subprocess
import time
from collections.abc import Callable

import httpx
import pytest

from tests.docker_engine import BaseImage
from tests.kubernetes_cluster import UP, Cluster

SERVE = """
import http.server, socket
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(socket.gethostbyname(self.path[1:]).encode())
http.server.ThreadingHTTPServer(("", 8000), Answer).serve_forever()
"""


def until(true: Callable[[], object], seconds: float = 120) -> object:
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s"
        time.sleep(0.1)
    return found


@pytest.fixture
def address(cluster: Cluster, namespace: str, cluster_registry: str, base_image: BaseImage) -> str:
    """Where a pod of the base image answers with what a name resolves to, by its Service's address."""
    assert base_image.name.startswith(cluster_registry)
    container = {"name": "app", "image": base_image.name, "command": ["python3", "-c", SERVE]}
    pod = {"metadata": {"name": "app", "labels": {"app": "app"}}, "spec": {"containers": [container]}}
    ports = {"type": "LoadBalancer", "selector": {"app": "app"}, "ports": [{"port": 80, "targetPort": 8000}]}
    service = {"kind": "Service", "metadata": {"name": "app"}, "spec": ports}
    for each in ({"kind": "Pod", **pod}, service):
        cluster.kubectl("-n", namespace, "apply", "-f", "-", given=json.dumps({"apiVersion": "v1", **each}))
    cluster.kubectl("-n", namespace, "wait", "pod/app", "--for=condition=Ready", "--timeout=180s")
    told = ("-n", namespace, "get", "service", "app", "-o", "jsonpath={.status.loadBalancer.ingress[0].ip}")
    return str(until(lambda: cluster.kubectl(*told)))


def answer(address: str, path: str) -> str:
    try:
        return httpx.get(f"http://{address}/{path}", timeout=15).text  # a resolver waits 5 s for an answer that is lost
    except httpx.TransportError:
        return ""


def test_a_pod_from_the_registry_resolves_a_service_and_answers_at_the_load_balancers_address(
    cluster: Cluster, namespace: str, address: str
) -> None:
    told = ("-n", namespace, "get", "service", "app", "-o", "jsonpath={.spec.clusterIP}")
    until(lambda: answer(address, f"app.{namespace}.svc.cluster.local") == cluster.kubectl(*told))


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM])  # by SIGTERM it lingers, and answers nothing
def test_an_api_server_that_was_ended_is_back_and_the_app_answered_meanwhile(
    cluster: Cluster, address: str, by: signal.Signals
) -> None:
    until(lambda: answer(address, "localhost") == "127.0.0.1")
    with cluster.without("kube-apiserver", by):
        until(lambda: answer(address, "localhost") == "127.0.0.1")
    assert "node-1" in cluster.kubectl("get", "nodes")


def test_up_on_a_cluster_that_runs_touches_nothing(cluster: Cluster) -> None:
    if not cluster.folder:
        pytest.skip("tests/cluster is not used: unset KUBECONFIG")
    files = [file for file in cluster.folder.iterdir() if file.suffix != ".new" and file.is_file()]
    before = {file: file.stat().st_mtime_ns for file in files}
    assert subprocess.run([UP], stdout=subprocess.DEVNULL).returncode == 0
    assert {file: file.stat().st_mtime_ns for file in before} == before  # kube-proxy ends when its file is touched
