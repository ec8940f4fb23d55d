"""The three endpoints of Prefect's API that the receiver asks, on a real socket; a test moves the runs on."""

import json
import threading
import time
import uuid
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class PrefectDouble:
    """`starts` is (app, monotonic time, run's id) in the order they came; `refused` apps are answered with 409."""

    port: int = 0
    starts: list[tuple[str, float, str]] = field(default_factory=list)
    runs: dict[str, dict[str, object]] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    losing: int = 0  # so many answers to a start are lost after it was done
    requests: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)
    server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    def up(self) -> None:
        """Answer, at the same port as before."""
        double = self

        class Answers(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                double.requests += 1
                kind, _, rest = self.path.removeprefix("/api/").partition("/")
                if kind == "deployments" and rest == "name/reconcile/hinted":
                    form = {"properties": {"app": {"type": "string"}}}
                    self.say(200, {"id": "hinted-id", "parameter_openapi_schema": form})
                elif kind == "flow_runs" and rest in double.runs:
                    self.say(200, double.runs[rest])
                else:
                    self.say(404, {"detail": "Not found"})

            def do_POST(self) -> None:
                double.requests += 1
                wish = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                app = wish["parameters"]["app"]
                if self.path != "/api/deployments/hinted-id/create_flow_run":
                    self.say(404, {"detail": "Not found"})
                elif app in double.refused:
                    self.say(409, {"detail": "refused"})
                else:
                    run = double.start(app, wish["idempotency_key"])
                    if double.losing:
                        double.losing -= 1
                        self.close_connection = True
                    else:
                        self.say(201, run)

            def say(self, status: int, document: object) -> None:
                body = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        ThreadingHTTPServer.allow_reuse_address = True
        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), Answers)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def down(self) -> None:
        """Refuse connections."""
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    def start(self, app: str, key: str) -> dict[str, object]:
        with self.changed:
            if key in self.keys:
                return self.runs[self.keys[key]]
            run = str(uuid.uuid4())
            self.keys[key], self.runs[run] = run, {"id": run, "name": app, "state": {"type": "SCHEDULED"}}
            self.runs[run]["parameters"] = {"app": app}
            self.starts.append((app, time.monotonic(), run))
            self.changed.notify_all()
            return self.runs[run]

    def becomes(self, run: str, state: str) -> None:
        """A run goes on."""
        self.runs[run]["state"] = {"type": state}

    def started(self, app: str) -> list[str]:
        """The ids of the runs of an app."""
        return [run for name, _, run in self.starts if name == app]

    def wait(self, app: str, count: int, seconds: float = 120.0) -> list[str]:
        """Until so many runs of the app were started."""
        with self.changed:
            done = self.changed.wait_for(lambda: len(self.started(app)) >= count, seconds)
            assert done, f"{count} starts of {app} within {seconds} s, not {self.starts}"
        return self.started(app)
