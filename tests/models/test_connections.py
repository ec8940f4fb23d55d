"""Connections to a server that does as it likes, over real sockets."""

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tandem.models.connections import Connections, Cord

TIMEOUT = {"connect": 60.0, "read": 60.0}
KEEP = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"

Serve = Callable[[list[list[bytes]]], Connections]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """serve([[a, b], [c]]): the first connection is answered a, then b, and closed; the second one c."""
    listener = socket.create_server(("127.0.0.1", 0))
    opened = []

    def serve(answers: list[list[bytes]]) -> Connections:
        def run() -> None:
            for each in answers:
                peer, _ = listener.accept()
                with peer:
                    for answer in each:
                        if not peer.recv(65536):
                            break
                        peer.sendall(answer)

        threading.Thread(target=run, daemon=True).start()
        opened.append(Connections(f"http://127.0.0.1:{listener.getsockname()[1]}"))
        return opened[-1]

    yield serve
    listener.close()
    for each in opened:
        each.close()


def get(connections: Connections) -> bytes:
    answer = connections.ask("GET", b"/w?a=b", [(b"Host", b"here")], TIMEOUT)
    try:
        return b"".join(answer.iter_raw())
    finally:
        answer.close()


def test_an_answer_that_was_read_leaves_its_connection_to_the_next(serve: Serve) -> None:
    connections = serve([[KEEP, KEEP, KEEP]])
    assert [get(connections) for _ in range(3)] == [b"abc"] * 3


def test_an_answer_that_was_not_read_takes_its_connection_with_it(serve: Serve) -> None:
    connections = serve([[KEEP], [KEEP]])
    connections.ask("GET", b"/w", [(b"Host", b"here")], TIMEOUT).close()
    assert get(connections) == b"abc"


def test_a_connection_that_the_server_closed_meanwhile_is_opened_again(serve: Serve) -> None:
    connections = serve([[KEEP], [KEEP]])
    assert [get(connections), get(connections)] == [b"abc"] * 2


def test_an_answer_without_a_length_ends_with_its_connection(serve: Serve) -> None:
    connections = serve([[b"HTTP/1.1 200 OK\r\n\r\nabc"], [KEEP]])
    assert [get(connections), get(connections)] == [b"abc"] * 2


def test_an_answer_in_chunks_is_put_together(serve: Serve) -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"
    assert get(serve([[chunked]])) == b"abc"


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc"])
def test_what_breaks_off_or_is_no_http_is_said(serve: Serve, answer: bytes) -> None:
    with pytest.raises(httpx.TransportError, match=r"closed|nonsense"):
        get(serve([[answer]]))


def test_a_server_that_is_not_there_is_said(serve: Serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(httpx.ConnectError, match="refused"):
        get(Connections(f"http://127.0.0.1:{port}"))


@pytest.mark.parametrize("first", [True, False])
def test_a_request_that_nobody_answers_ends_when_its_cord_is_pulled(first: bool) -> None:
    cord = Cord()
    with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor(1) as pool:
        if first:
            cord.pull()
        connections = Connections(f"http://127.0.0.1:{silent.getsockname()[1]}")
        asking = pool.submit(connections.ask, "GET", b"/w", [], {"connect": 60.0, "read": 240.0}, cord)
        if not first:
            peer, _ = silent.accept()
            assert peer.recv(65536)
            cord.pull()
        assert isinstance(asking.exception(60), httpx.TransportError)


def test_a_cord_that_is_pulled_late_leaves_the_connection_to_the_next(serve: Serve) -> None:
    connections, cord = serve([[KEEP, KEEP]]), Cord()
    assert connections.ask("GET", b"/w", [], TIMEOUT, cord).read() == b"abc"
    cord.pull()
    assert get(connections) == b"abc"
