"""An admission webhook that refuses, or that does not answer, is the environment's fault, found before any change."""

import base64
import json
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tandem.errors import ReleaseFailed
from tests.contracts.kubernetes.place import Place, as_it_is, begin, bring_in, pods, take_back


class Refuses(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        uid = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["request"]["uid"]
        response = {"uid": uid, "allowed": False, "status": {"message": "no image without a signature"}}
        content = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def refuses(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """A webhook's address on this machine, and its certificate, base64."""
    key, certificate = tmp_path / "key", tmp_path / "certificate"
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate]
    argv += ["-days", "2", "-subj", "/CN=webhook", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(argv, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with ThreadingHTTPServer(("127.0.0.1", 0), Refuses) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield f"https://127.0.0.1:{server.server_port}", base64.b64encode(certificate.read_bytes()).decode()
        server.shutdown()


def wait_until_asked(place: Place, *kubectl: str) -> None:
    """An API server hears of a webhook a moment later."""
    deadline, said = time.monotonic() + 60, "the webhook is not asked"
    while "denied the request" not in said:
        assert time.monotonic() < deadline, said
        try:
            place.kubectl(*kubectl, "tried", "--image=none", "--dry-run=server")
        except AssertionError as refused:
            said = str(refused)


@pytest.mark.parametrize("kind", ["deployments", "pods"])
def test_a_webhook_that_refuses_is_the_environments_fault(place: Place, refuses: tuple[str, str], kind: str) -> None:
    target = place.target()
    bring_in(target, place.image("v1"), "r-1")
    before, ran = as_it_is(place), pods(place)
    rule = {"apiGroups": ["*"], "apiVersions": ["*"], "resources": [kind], "operations": ["CREATE", "UPDATE"]}
    hook = {
        "name": "signed.example.com",
        "clientConfig": {"url": refuses[0], "caBundle": refuses[1]},
        "rules": [rule],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": place.namespace}},
        "sideEffects": "None",
        "timeoutSeconds": 30,
        "admissionReviewVersions": ["v1"],
    }
    asked = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration"}
    body = json.dumps({**asked, "metadata": {"name": place.namespace}, "webhooks": [hook]})
    place.kubectl("apply", "-f", "-", given=body)
    try:
        wait_until_asked(place, *{"deployments": ("create", "deployment"), "pods": ("run",)}[kind])
        state = begin(target, image := place.image("v2"), "r-2")
        with pytest.raises(
            ReleaseFailed, match=r"digits.yaml: .*denied the request: no image without a sign"
        ) as failed:
            list(target.roll_out(image, state))
        assert failed.value.fault == "environment"
        assert (as_it_is(place), pods(place)) == (before, ran)
    finally:
        place.kubectl("delete", "-f", "-", given=body)
    take_back(target, state, failed.value)
    assert (as_it_is(place), pods(place)) == (before, ran)
