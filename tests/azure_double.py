"""A double of Entra and of Azure Resource Manager, before a real cluster that takes the double's tokens.

One server speaks https for both: POST /TENANT/oauth2/v2.0/token as a workload identity asks it, and the two requests
about a managed cluster. The other listens where tests/cluster asks about bearer tokens (TokenReview v1); one a machine.
"""

import json
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import jwt

KEY = "entra's own key, which is as long as such a key must be"
ARM = "https://management.azure.com"
SERVER = "6dae42f8-4368-4678-94ff-3960e28e3630"
SUBSCRIPTION = "5ea5e5ea-0000-4000-8000-000000000001"
CLUSTER = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/ml/providers/Microsoft.ContainerService/managedClusters/contoso"
)
PORT = 6444

Answer = tuple[int, object]


@dataclass
class Azure:
    """What the double knows, and was asked."""

    address: str
    certificate: Path
    server: str = SERVER  # the application that the cluster's tokens must be for
    lives: int = 3600  # seconds that a token lives
    federated: str = "a service account's token"
    kubeconfig: str = ""  # base64
    user_role: bool = True  # whether everybody has the Azure Kubernetes Service Cluster User Role
    tenant: bool = True  # whether the cluster is of the tenant whose tokens it is given
    busy: int = 0  # so many requests to Resource Manager are answered 429
    scopes: list[str] = field(default_factory=list)  # of the tokens that were asked for
    asked: list[str] = field(default_factory=list)  # of Resource Manager
    seen: set[str] = field(default_factory=set)  # tokens that the cluster took
    refused: list[str] = field(default_factory=list)  # why it took others not

    def entra(self, form: dict[str, str]) -> Answer:
        if form["client_assertion"] != self.federated:
            return 401, {"error": "invalid_client", "error_description": "AADSTS700016: unknown"}
        self.scopes.append(form["scope"])
        claims = {"aud": form["scope"].removesuffix("/.default"), "oid": form["client_id"], "nonce": time.time()}
        token = jwt.encode({**claims, "exp": time.time() + self.lives}, KEY, "HS256")
        return 200, {"token_type": "Bearer", "expires_in": self.lives, "access_token": token}

    def manager(self, method: str, path: str, bearer: str) -> Answer:
        said = jwt.decode(bearer, KEY, ["HS256"], audience=ARM)
        self.asked.append(f"{method} {path}")
        if self.busy:
            self.busy -= 1
            return 429, _error("TooManyRequests", "slower")
        if not path.startswith(CLUSTER.rpartition("/")[0]):
            return 404, _error("ResourceGroupNotFound", "Resource group 'other' could not be found.")
        if path.removesuffix("/listClusterUserCredential") != CLUSTER:
            return 404, _error("ResourceNotFound", f"The Resource '{path.split('/')[8]}' was not found.")
        if not self.user_role:
            return 403, _error("AuthorizationFailed", f"The client '{said['oid']}' does not have authorization")
        if method == "GET":
            return 200, {"id": CLUSTER, "location": "westeurope"}
        return 200, {"kubeconfigs": [{"name": "clusterUser", "value": self.kubeconfig}]}

    def review(self, token: str) -> Answer:
        status: dict[str, object] = {"authenticated": False}
        try:
            said = jwt.decode(token, KEY, ["HS256"], audience=self.server)
            if self.tenant:
                self.seen.add(token)
                status = {"authenticated": True, "user": {"username": said["oid"], "uid": said["oid"]}}
        except jwt.InvalidTokenError as error:
            self.refused.append(str(error))
        return 200, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status}


def _error(code: str, message: str) -> object:
    return {"error": {"code": code, "message": message}}


def serve(azure: Azure, certificate: Path, key: Path) -> Callable[[], None]:
    """Both servers; what is given back ends them. `azure.address` is known then."""

    class Asked(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            url = urlsplit(self.path)
            try:
                self.answer(*self.found(url.path, parse_qs(url.query), content))
            except (jwt.InvalidTokenError, KeyError) as error:
                self.answer(401, _error("InvalidAuthenticationToken", str(error)))

        def found(self, path: str, query: dict[str, list[str]], content: bytes) -> Answer:
            if path == "/tokenreview":
                return azure.review(json.loads(content)["spec"]["token"])
            if path.endswith("/oauth2/v2.0/token"):
                return azure.entra({key: values[0] for key, values in parse_qs(content.decode()).items()})
            assert query["api-version"]
            return azure.manager(self.command, path, self.headers["Authorization"].removeprefix("Bearer "))

        def answer(self, status: int, document: object) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    secure = ThreadingHTTPServer(("127.0.0.1", 0), Asked)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    secure.socket = context.wrap_socket(secure.socket, server_side=True)
    servers = [secure, ThreadingHTTPServer(("127.0.0.1", PORT), Asked)]
    azure.address = f"https://127.0.0.1:{secure.server_port}"
    for server in servers:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()

    def end() -> None:
        for server in servers:
            server.shutdown()
            server.server_close()

    return end
