"""GETs by the standard library's HTTP client, for a transport of httpx: a body costs a third of the CPU it costs there.

What a connection gives is handed on in the very bytes object that it was received into; httpx copies each four times.
"""

import http.client
from collections.abc import Iterable, Iterator, Mapping

import httpx

PIECE = 256 * 1024  # bytes that are asked of the system at once


class Connections:
    """Connections to one server, without a proxy; each is used again once its answer was read to the end."""

    def __init__(self, origin: str) -> None:
        self._url = httpx.URL(origin)
        self._context = httpx.create_ssl_context() if self._url.scheme == "https" else None
        self._idle: list[http.client.HTTPConnection] = []

    def ask(
        self, method: str, target: bytes, headers: Iterable[tuple[bytes, bytes]], timeout: Mapping[str, float | None]
    ) -> httpx.Response:
        """The answer, its body still to be read. `timeout` as httpx has it, in seconds. Raises httpx.TransportError."""
        while True:
            idle = self._idle.pop() if self._idle else None
            connection = idle or self._opened(timeout)
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
            body = _Body(answer, connection, self._idle)
            return httpx.Response(answer.status, headers=answer.getheaders(), stream=body)

    def close(self) -> None:
        """Ends those that nobody uses."""
        while self._idle:
            self._idle.pop().close()

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
    ) -> None:
        self._answer, self._connection, self._idle = answer, connection, idle
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
