"""A wire between a client and the real API server on which answers are lost, watches cut, and requests held up."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from kubernetes.client import ApiClient, Configuration

from tests.kubernetes_cluster import Cluster

GONE = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}}
Asked = tuple[str, str]  # method, path with query


class Wire:
    """`before(asked)` may hold a request up; it goes on as it is for None, else "lose": carried out, and no answer;
    "504", "403"; for a watch "cut": it ends at once, and "410".
    """

    def __init__(self, client: ApiClient, port: int) -> None:
        self.upstream, self.port = client, port
        self.before: Callable[[Asked], str | None] = lambda asked: None
        self.seen: list[Asked] = []

    def client(self) -> ApiClient:
        """A client of the API at this end."""
        return ApiClient(Configuration(host=f"http://127.0.0.1:{self.port}"))

    def watches(self) -> int:
        """How many watches were asked for."""
        return sum("watch=1" in path for _, path in self.seen)


@contextmanager
def wire(cluster: Cluster) -> Iterator[Wire]:
    """A wire to this cluster, open while the test runs."""

    class Carries(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *words: Any) -> None:
            pass

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except OSError:
                self.close_connection = True

        def carry(self) -> None:
            asked = self.command, self.path
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
            found.seen.append(asked)
            what = found.before(asked)
            if what == "504":
                self.say(504, b"{}")
            elif what == "403":
                self.say(403, b'{"message": "configmaps is forbidden: User x cannot get it"}')
            elif what == "410":
                self.say(200, json.dumps(GONE).encode() + b"\n")
            elif what == "cut":
                self.close_connection = True
            else:
                self.pass_on(body, lose=what == "lose")

        def pass_on(self, body: bytes | None, lose: bool) -> None:
            headers = {key: self.headers[key] for key in ("Accept", "Content-Type") if self.headers[key]}
            url = found.upstream.configuration.host + self.path
            pool = found.upstream.rest_client.pool_manager
            answer = pool.request(self.command, url, body=body, headers=headers, preload_content=False, retries=False)
            if "watch=1" in self.path and answer.status == 200:
                self.stream(answer)
            elif lose:
                answer.read()
                self.close_connection = True
            else:
                self.say(answer.status, answer.read())
            answer.release_conn()

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = carry

        def say(self, status: int, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def stream(self, answer: Any) -> None:
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for piece in answer.stream(65536):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")

    server = ThreadingHTTPServer(("127.0.0.1", 0), Carries)
    server.daemon_threads = True
    with cluster.api() as upstream:
        found = Wire(upstream, server.server_port)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield found
        finally:
            server.shutdown()
            server.server_close()
