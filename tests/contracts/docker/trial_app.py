"""A small service that does, by the variable HOW, what an image must not; it says of itself what a trial gave it."""

import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

HOW = os.environ.get("HOW", "")
EAT = "bytearray(300 * 1024 * 1024)"


def tried(action):
    try:
        action()
    except OSError as error:
        return error.strerror
    return "done"


def about():
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {
        "uid": os.getuid(),
        "root": tried(lambda: Path("/written").touch()),
        "app": tried(lambda: Path("/app/written").touch()),
        "tmp": tried(lambda: Path("/tmp/written").touch()),
        "capabilities": int(status["CapBnd"], 16),
        "no new privileges": status["NoNewPrivs"],
    }


class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        answer = {"answer": 8 if HOW == "wrong" else 7}
        if self.path == "/about":
            answer = about()
        if self.path.startswith("/out/"):
            host, port = self.path.removeprefix("/out/").split(":")
            answer = tried(lambda: socket.create_connection((host, int(port)), 60))
        if self.path == "/eat":
            subprocess.run([sys.executable, "-c", EAT])
        body = json.dumps(answer).encode()
        self.send_response(503 if HOW == "never-ready" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


print(f"starts {HOW}", flush=True)
if HOW == "crash":
    os.write(1, b"\xff is no text\n")
    sys.exit("it cannot find its model")
if HOW == "eat":
    eval(EAT)
server = http.server.ThreadingHTTPServer(("0.0.0.0", int(sys.argv[1])), Answers)
leave = signal.SIG_IGN if HOW == "stubborn" else lambda *_: threading.Thread(target=server.shutdown).start()
signal.signal(signal.SIGTERM, leave)
server.serve_forever(poll_interval=0.02)
