"""A small service as a stranger would write it: `python app.py WHERE [HOW]`, WHERE is fd://N, a port, or nothing."""

import http.server
import json
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

VERSION = Path(__file__).with_name("version").read_text()
HOW = sys.argv[2] if len(sys.argv) > 2 else ""
STARTED = time.monotonic()


class Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 5

    def do_GET(self):
        path = urlsplit(self.path).path
        early = HOW == "slow" and time.monotonic() < STARTED + 1
        if path == "/crash":
            os._exit(7)
        if path == "/sleep":
            time.sleep(1)
        version = "wrong" if HOW == "wrong" or early else VERSION
        about = {"version": version, "pid": os.getpid(), "host": socket.gethostname(), "model": Path(MODEL).is_dir()}
        if path == "/environment":
            about = dict(os.environ)
        self.answer(503 if path == "/readyz" and (HOW.endswith("never-ready") or early) else 200, about)

    def answer(self, status, document):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if leaving.is_set():
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 128


MODEL = os.environ.get("MODEL_DIR", "/nowhere")
leaving = threading.Event()
print(f"version {VERSION} starts {HOW}", flush=True)
if HOW == "crash":
    sys.exit("it cannot find its model")
if HOW == "fork" and os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(60)
    os._exit(0)
where = sys.argv[1] if len(sys.argv) > 1 else "8000"
if where.startswith("fd://"):
    server = Server(("127.0.0.1", 0), Answers, bind_and_activate=False)
    server.socket.close()
    server.socket = socket.socket(fileno=int(where.removeprefix("fd://")))
    server.server_name, server.server_port = "localhost", 0
    server.server_activate()
else:
    host, _, port = where.rpartition(":")
    server = Server((host or "127.0.0.1", int(port)), Answers)


def leave(*_):
    leaving.set()
    threading.Thread(target=server.shutdown).start()


answers_to = {"stubborn": signal.SIG_IGN, "abrupt": lambda *_: os._exit(0)}
signal.signal(signal.SIGTERM, answers_to.get(HOW.removesuffix("-never-ready"), leave))
server.serve_forever(poll_interval=0.02)
server.server_close()
