"""GETs by the standard library's HTTP client, for a transport of httpx: a body costs a third of the CPU it costs there.

What a connection gives is handed on in the very bytes object that it was received into; httpx copies each four times.
"""

import http.client
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from threading import Lock

import httpx

PIECE = 512 * 1024  # bytes that are asked of the system at once


class Cord:
    """Pulled in one thread, it ends the request that another one waits for."""

    def __init__(self) -> None:
        self._lock, self._pulled = Lock(), False
        self._socket: socket.socket | None = None

    def hold(self, opened: socket.socket | None) -> None:
        """The request's socket; None once another request may have it."""
        with self._lock:
            self._socket = opened
            self._cut()

    def pull(self) -> None:
        """Now, or as soon as there is a socket: the other end of its connection seems to have gone."""
        with self._lock:
            self._pulled = True
            self._cut()

    def _cut(self) -> None:
        if self._pulled and self._socket is not None:
            with suppress(OSError):  # closed meanwhile
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)  # and no TLS about it, which is the reader's


class Connections:
    """Connections to one server, without a proxy; each is used again once its answer was read to the end."""

    def __init__(self, origin: str) -> None:
        self._url = httpx.URL(origin)
        self._context = httpx.create_ssl_context() if self._url.scheme == "https" else None
        self._idle: list[http.client.HTTPConnection] = []

    def ask(
        self,
        method: str,
        target: bytes,
        headers: Iterable[tuple[bytes, bytes]],
        timeout: Mapping[str, float | None],
        cord: Cord | None = None,
    ) -> httpx.Response:
        """The answer, its body still to be read. `timeout` as httpx has it, in seconds. Raises httpx.TransportError,
        also where `cord` was pulled.
        """
        cord = cord or Cord()
        while True:
            idle = self._taken()
            connection = idle or self._opened(timeout)
            cord.hold(connection.sock)
            try:
                connection.putrequest(method, target.decode(), skip_host=True, skip_accept_encoding=True)
                for key, value in headers:
                    connection.putheader(key.decode(), value)
                connection.endheaders()
                answer = connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                if idle and isinstance(error, ConnectionError):
                    continue  # the server had closed it meanwhile
                raise _as_httpx(error) from error
            body = _Body(answer, connection, self._idle, cord)
            return httpx.Response(answer.status, headers=answer.getheaders(), stream=body)

    def close(self) -> None:
        """Ends those that nobody uses."""
        while connection := self._taken():
            connection.close()

    def _taken(self) -> http.client.HTTPConnection | None:
        with suppress(IndexError):  # threads share them: whether there is one, only taking it tells
            return self._idle.pop()
        return None

    def _opened(self, timeout: Mapping[str, float | None]) -> http.client.HTTPConnection:
        host, port = self._url.host, self._url.port
        connection: http.client.HTTPConnection
        if self._context is None:
            connection = http.client.HTTPConnection(host, port, timeout=timeout["connect"])
        else:
            connection = http.client.HTTPSConnection(host, port, timeout=timeout["connect"], context=self._context)
        try:
            connection.connect()
        except TimeoutError as error:
            raise httpx.ConnectTimeout(str(error) or "timed out while connecting") from error
        except OSError as error:
            raise httpx.ConnectError(str(error)) from error
        connection.sock.settimeout(timeout["read"])
        return connection


class _Body(httpx.SyncByteStream):
    """An answer's body as it comes. Its connection goes back to the idle ones when all of it was read."""

    def __init__(
        self,
        answer: http.client.HTTPResponse,
        connection: http.client.HTTPConnection,
        idle: list[http.client.HTTPConnection],
        cord: Cord,
    ) -> None:
        self._answer, self._connection, self._idle, self._cord = answer, connection, idle, cord
        self._whole = False

    def __iter__(self) -> Iterator[bytes]:
        left = self._answer.length  # counted here, since read1 does so only in later Pythons
        try:
            while left != 0:
                piece = self._answer.read1(PIECE if left is None else min(PIECE, left))
                if not piece:
                    break
                left = None if left is None else left - len(piece)
                yield piece
        except (OSError, http.client.HTTPException) as error:
            raise _as_httpx(error) from error
        if left:
            raise httpx.RemoteProtocolError(f"the connection was closed {left} bytes before the answer's end")
        self._whole = True

    def close(self) -> None:
        """Ends the connection where something is left in it."""
        self._cord.hold(None)
        reusable = self._whole and not self._answer.will_close
        self._answer.close()
        if reusable:
            self._idle.append(self._connection)
        else:
            self._connection.close()


def _as_httpx(error: Exception) -> httpx.TransportError:
    if isinstance(error, TimeoutError):
        return httpx.ReadTimeout(str(error) or "timed out")
    if isinstance(error, OSError):
        return httpx.ReadError(str(error))
    return httpx.RemoteProtocolError(f"{type(error).__name__}: {error}")
