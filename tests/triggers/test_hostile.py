"""What strangers send: mutated hooks, names that are commands, a million commits, bytes that trickle in."""

import json
import random
import select
import socket
import time

import pytest

from tandem.triggers import receive
from tests.triggers import hooks
from tests.triggers.conftest import SECRET, Receiver
from tests.triggers.hooks import PUSHES, Sent

NAMES = [
    "$(touch /tmp/pwned)", "`reboot`", "; rm -rf /", "-upload-pack=x", "--exec=sh", "../../etc/passwd", "/etc/passwd",
    "main\x00", "ma\u200bin", "mаin", "main\n2026-01-01 forged line", "\x1b[31mred", "\u202eniam", "🚂" * 300,
    "refs/heads/main", "main ", "MAIN", "x" * 100_000, "",
]  # fmt: skip


@pytest.mark.parametrize("branch", NAMES, ids=range(len(NAMES)))
def test_a_branch_is_only_ever_compared(receiver: Receiver, branch: str) -> None:
    answer = receiver.take(hooks.github(branch).signed(SECRET))
    assert answer.status_code == 202 and answer.json() == {"status": "no app listens", "apps": []}
    (line,) = [each for each in receiver.log.said if each.startswith("github")]
    assert line.isprintable() and len(line) < 1500
    assert receiver.take(hooks.github().signed(SECRET)).json()["apps"] == ["shop"]


@pytest.mark.parametrize("sender", sorted(PUSHES))
def test_a_delivery_id_cannot_forge_a_line_of_the_log(receiver: Receiver, sender: str) -> None:
    names = ("X-GitHub-Delivery", "X-Gitea-Delivery", "Idempotency-Key", "X-Request-UUID", "X-Tandem-Delivery")
    strange = dict.fromkeys(names, "a\x9b31m\x85b" + "c" * 5000)
    sent = PUSHES[sender]()
    receiver.take(Sent(sender, dict(sent.headers) | {k: v.encode("latin-1") for k, v in strange.items()}, sent.body))
    assert all(line.isprintable() and len(line) < 1500 for line in receiver.log.said)


def mutated(chance: random.Random, sent: Sent) -> Sent:
    """A hook with something wrong in headers or body, or both."""
    headers = {name: value.encode("latin-1", "replace") for name, value in sent.headers.items()}
    body = bytearray(sent.body)
    for _ in range(chance.randint(1, 3)):
        name = chance.choice(sorted(headers)) if headers else ""
        match chance.randrange(7):
            case 0 if name:
                del headers[name]
            case 1 if name and headers[name]:
                value, at = headers[name], chance.randrange(len(headers[name]))
                headers[name] = (
                    value[:at] + bytes([chance.choice((*range(0x21, 0x7F), *range(0x80, 0x100)))]) + value[at:]
                )
            case 2 if name:
                headers[name] = headers[name][: chance.randrange(len(headers[name]) + 1)].strip()
            case 3:
                at = chance.randrange(len(body) + 1)
                body[at:at] = chance.randbytes(chance.randint(1, 8))
            case 4 if body:
                del body[chance.randrange(len(body)) :]
            case 5 if body:
                body[chance.randrange(len(body))] ^= 1 << chance.randrange(8)
            case _:
                headers[name or "X"] = chance.randbytes(40).hex().encode()
    return Sent(sent.sender, headers, bytes(body), sent.query)  # type: ignore[arg-type]


@pytest.mark.parametrize("sender", sorted(PUSHES))
def test_a_mutated_hook_is_neither_believed_nor_a_fault(receiver: Receiver, sender: str) -> None:
    chance = random.Random(6)
    good = PUSHES[sender]().signed("not the secret")
    for number in range(300):
        answer = receiver.take(mutated(chance, good))
        assert answer.status_code in (400, 401), (number, answer.status_code, answer.text)
    assert not receiver.noted()


def junk(chance: random.Random, depth: int = 0) -> object:
    """Some JSON."""
    match chance.randrange(8 if depth < 3 else 6):
        case 0:
            return chance.choice([None, True, False])
        case 1:
            return chance.choice([0, -1, 1e308, 10**400, 2**64])
        case 2 | 3 | 4 | 5:
            return chance.choice(
                ["", "refs/heads/main", "https://github.com/acme/shop", "\x00", "http://[", "\ud800", "branch"]
            )
        case 6:
            return [junk(chance, depth + 1) for _ in range(chance.randrange(4))]
    return {chance.choice(["a", "name", "url", "href", "type"]): junk(chance, depth + 1) for _ in range(3)}


def spoiled(chance: random.Random, document: object) -> object:
    """A document with one value in it replaced."""
    if chance.random() < 0.25 or not isinstance(document, (dict, list)) or not document:
        return junk(chance)
    copy = document.copy()
    key = chance.choice(sorted(copy)) if isinstance(copy, dict) else chance.randrange(len(copy))
    copy[key] = spoiled(chance, copy[key])  # type: ignore[index, call-overload]
    return copy


@pytest.mark.parametrize("sender", sorted(PUSHES))
def test_a_verified_body_of_any_shape_is_no_fault(receiver: Receiver, sender: str) -> None:
    chance, sent = random.Random(7), PUSHES[sender]()
    for number in range(300):
        body = json.dumps(spoiled(chance, json.loads(sent.body))).encode()
        answer = receiver.take(Sent(sender, sent.headers, body).signed(SECRET))
        assert answer.status_code in (200, 202, 400), (number, body, answer.text)


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b'{"ref":' * 50_000, b"9" * 100_000, b"\xff\xfe\x00", b"", b"null", b"NaN", b'"\\ud800"']
)
def test_json_that_breaks_parsers_is_malformed(receiver: Receiver, body: bytes) -> None:
    assert receiver.take(Sent("github", hooks.github().headers, body).signed(SECRET)).status_code == 400


def test_a_push_of_a_million_commits_is_believed_unread(receiver: Receiver) -> None:
    sent = hooks.github()
    commits = b",".join(b'{"id":"%040x"}' % number for number in range(490_000))  # 25 MB: GitHub's own limit
    large = Sent("github", sent.headers, sent.body.replace(b'"commits": [', b'"commits": [' + commits + b","))
    assert 23 << 20 < len(large.body) < receive.LARGEST
    assert receiver.take(large).status_code == 401
    assert receiver.take(large.signed(SECRET)).json()["apps"] == ["shop"]
    receiver.prefect.wait("shop", 1)
    assert receiver.take(large.signed(SECRET)).json()["status"] == "seen before"


def test_what_is_larger_than_any_hook_is_refused_before_it_comes(receiver: Receiver) -> None:
    with socket.create_connection(("127.0.0.1", receiver.server.effective_port), 60) as wire:
        wire.sendall(f"POST /hooks/github HTTP/1.1\r\nHost: x\r\nContent-Length: {receive.LARGEST}\r\n\r\n".encode())
        assert b" 413 " in wire.recv(4096).split(b"\r\n")[0]


@pytest.mark.parametrize("length", ["9" * 5000, "-1", "1e3", "0x10", "٣"])
def test_a_length_that_is_no_number_harms_nobody(receiver: Receiver, length: str) -> None:
    with socket.create_connection(("127.0.0.1", receiver.server.effective_port), 60) as wire:
        wire.sendall(f"POST /hooks/github HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\nx".encode())
        assert not wire.recv(4096).startswith(b"HTTP/1.1 2")
    assert receiver.take(hooks.github().signed(SECRET)).json()["apps"] == ["shop"]


def test_large_bodies_at_once_have_a_limit_of_their_own(receiver: Receiver) -> None:
    ask = f"POST /hooks/github HTTP/1.1\r\nHost: x\r\nContent-Length: {receive.LARGEST - 1}\r\n\r\n".encode()
    wires = [socket.create_connection(("127.0.0.1", receiver.server.effective_port), 60) for _ in range(7)]
    try:
        for wire in wires:
            wire.sendall(ask)
        refused, deadline = set[socket.socket](), time.monotonic() + 60
        while len(refused) < 2 and time.monotonic() < deadline:
            answered, _, _ = select.select([wire for wire in wires if wire not in refused], [], [], 1)
            assert all(b" 413 " in wire.recv(4096) for wire in answered)
            refused.update(answered)
        assert 2 <= len(refused) < len(wires)
        assert receiver.take(hooks.github().signed(SECRET)).json()["apps"] == ["shop"]
    finally:
        for wire in wires:
            wire.close()


def test_sixty_connections_that_trickle_delay_nobody(receiver: Receiver) -> None:
    receiver.server.adj.channel_timeout = 300  # that they are cut off is the next test's
    wires = [socket.create_connection(("127.0.0.1", receiver.server.effective_port), 60) for _ in range(60)]
    try:
        for wire in wires:
            wire.sendall(b"POST /hooks/github HTTP/1.1\r\nContent-Length: 9000\r\n")
        took = []
        for number in range(30):
            for wire in wires:
                wire.sendall(b"X" if number else b"X-A: ")
            before = time.monotonic()
            assert receiver.take(hooks.github(str(number)).signed(SECRET)).status_code == 202
            took.append(time.monotonic() - before)
        assert sorted(took)[len(took) // 2] < 5, took
    finally:
        for wire in wires:
            wire.close()


def test_a_request_that_trickles_is_cut_off(receiver: Receiver) -> None:
    receiver.server.adj.channel_timeout, receiver.server.adj.cleanup_interval = 1, 0.2
    with socket.create_connection(("127.0.0.1", receiver.server.effective_port), 60) as wire:
        began = time.monotonic()
        wire.sendall(b"POST /hooks/github HTTP/1.1\r\nContent-Length: 9000\r\n\r\n")
        with pytest.raises(ConnectionError):
            while time.monotonic() - began < 60:
                wire.sendall(b"x")
                time.sleep(0.1)
