"""Services on the wire: a web server that takes whatever is posted, and a mail server (RFC 5321, the least of it)."""

import http.server
import json
import socketserver
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path


@dataclass
class Posted:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> dict:
        return json.loads(self.body)


@dataclass
class Web:
    """A web server: `answers` are given in turn as (status, headers, body), the last one for ever; after `delay` s."""

    port: int = 0
    posted: list[Posted] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=lambda: [(200, {}, b"{}")])
    delay: float = 0.0
    closing: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def json_url(self) -> str:
        """As Apprise writes it, with something in it that must not be printed."""
        return f"json://walter:hush-hush-7@127.0.0.1:{self.port}/sekret-path-9"


@contextmanager
def web(tls: Path | None = None) -> Iterator[Web]:
    """A web server; with a folder, over TLS, by a certificate of its own that is put there."""
    double = Web()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            double.posted.append(Posted(self.path, dict(self.headers.items()), body))
            double.closing.wait(double.delay)
            status, headers, answer = double.answers.pop(0) if len(double.answers) > 1 else double.answers[0]
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    double.port = server.server_address[1]
    if tls:
        argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1", "-days", "1"]
        subprocess.run([*argv, "-keyout", tls / "key", "-out", tls / "certificate"], check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls / "certificate", tls / "key")
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield double
    finally:
        double.closing.set()
        server.shutdown()
        server.server_close()


@dataclass
class Mail:
    """A mail server: what was delivered, and to whom; `greets_after` s, `refuses` who is written to."""

    port: int = 0
    delivered: list[tuple[list[str], EmailMessage]] = field(default_factory=list)
    greets_after: float = 0.0
    refuses: bool = False


@contextmanager
def mail() -> Iterator[Mail]:
    double = Mail()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            time.sleep(double.greets_after)
            self.say("220 double ESMTP")
            to: list[str] = []
            while line := self.rfile.readline().decode(errors="replace").strip():
                verb = line.upper()
                if verb.startswith("EHLO"):
                    self.say("250-double", "250 AUTH PLAIN LOGIN")
                elif verb.startswith("AUTH PLAIN"):
                    self.say("235 2.7.0 welcome")
                elif verb.startswith("RCPT TO:"):
                    to.append(line[8:].strip().strip("<>"))
                    self.say("550 5.1.1 no such user here" if double.refuses else "250 fine")
                elif verb == "DATA":
                    self.say("354 go on")
                    content = b""
                    while (piece := self.rfile.readline()) not in (b".\r\n", b""):
                        content += piece.removeprefix(b".") if piece.startswith(b"..") else piece
                    double.delivered.append((to, message_from_bytes(content, policy=policy.default)))
                    self.say("250 taken")
                elif verb == "QUIT":
                    self.say("221 bye")
                    return
                else:
                    self.say("250 fine")

        def say(self, *lines: str) -> None:
            self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

        def handle_error(self, request: object, client_address: object) -> None:
            pass  # a client that went away

    server = Server(("127.0.0.1", 0), Handler)
    double.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield double
    finally:
        server.shutdown()
        server.server_close()


def words(mailed: EmailMessage) -> str:
    """What a person reads of an e-mail, as plain text."""
    plain = mailed.get_body(("plain", "html"))
    assert plain is not None
    return str(plain.get_content())
