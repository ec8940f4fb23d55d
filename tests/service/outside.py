"""What stands outside the cluster, at an address that pods reach: git over HTTP, doors to 127.0.0.1."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

# python -c FORWARD HOST PORT TO-HOST TO-PORT; also inside pods
FORWARD = """
import asyncio, sys
host, port, to_host, to_port = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
async def copy(reader, writer):
    try:
        while piece := await reader.read(262144):
            writer.write(piece)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        writer.close()
async def serve(reader, writer):
    try:
        far = await asyncio.open_connection(to_host, to_port)
    except OSError:
        return writer.close()
    await asyncio.gather(copy(reader, far[1]), copy(far[0], writer))
    far[1].close()
    writer.close()
async def main():
    server = await asyncio.start_server(serve, host, port)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


@contextmanager
def door(host: str, to: str) -> Iterator[str]:
    """`to` (127.0.0.1:PORT) at another address of this machine: host:port."""
    to_host, _, to_port = to.partition(":")
    argv = [sys.executable, "-c", FORWARD, host, "0", to_host, to_port]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"{host}:{process.stdout.readline().strip()}"
        finally:
            process.terminate()


@contextmanager
def git_over_http(host: str, folder: Path) -> Iterator[str]:
    """The bare repositories in `folder`, by git's own http-backend: http://HOST:PORT."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            address = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            env = os.environ | {
                "GIT_PROJECT_ROOT": str(folder), "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": address.path,
                "QUERY_STRING": address.query, "REQUEST_METHOD": self.command, "REMOTE_ADDR": self.client_address[0],
                "CONTENT_TYPE": self.headers.get("Content-Type", ""), "CONTENT_LENGTH": str(length),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            }  # fmt: skip
            body = self.rfile.read(length)
            done = subprocess.run(["git", "http-backend"], input=body, env=env, capture_output=True)
            head, _, answer = done.stdout.partition(b"\r\n\r\n")
            fields = [line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line]
            status = next((value for name, value in fields if name == "Status"), "200 OK")
            self.send_response(int(status.split()[0]))
            for name, value in fields:
                self.send_header(name, value) if name != "Status" else None
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer((host, 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://{host}:{server.server_address[1]}"
    finally:
        server.shutdown()
