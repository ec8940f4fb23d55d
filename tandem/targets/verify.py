"""Does it work, seen from outside: is it ready, and does it answer app.toml's requests rightly.

Knows an address and [verify], and no backend. Nothing is raised for an app's fault: callers get what failed, as
one line each, and say whose fault it is.
"""

import json
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

import httpx

from tandem.settings import Request, VerifySettings
from tandem.targets.pointer import found, same, shown

LIMIT = 1024 * 1024  # bytes of an answer's body that are looked at
PAUSE = 0.05  # seconds between two looks at an app that is not ready


@dataclass(frozen=True)
class Check:
    """A request that was made: its answer's time in milliseconds, and what was wrong with it (None: nothing)."""

    request: str
    milliseconds: float
    failure: str | None = None

    @property
    def ok(self) -> bool:
        """Whether the answer was right."""
        return self.failure is None

    def __str__(self) -> str:
        return f"{self.request}: {self.failure or f'right, {self.milliseconds:.0f} ms'}"


@dataclass(frozen=True)
class Ready:
    """Whether the app became ready: seconds waited, and on failure what was last seen."""

    seconds: float
    failure: str | None = None


@dataclass(frozen=True)
class _Answer:
    status: int
    body: bytes
    milliseconds: float


def wait_ready(
    address: str, verify: VerifySettings, alive: Callable[[], str | None] = lambda: None, source: str | None = None
) -> Ready:
    """Ask `verify.ready` until it answers 200, `verify.time_limit` is over, or `alive` says why it is not.

    `address` is a URL such as `http://127.0.0.1:8080`; `source` the local address to ask from.
    """
    began = time.monotonic()
    last = "nothing was asked yet"
    with _client(address, source) as client:
        while (waited := time.monotonic() - began) < verify.time_limit:
            if dead := alive():
                return Ready(waited, f"{dead} before GET {verify.ready} answered 200 (last: {last})")
            try:
                answer = _ask(client, Request(path=verify.ready), min(5.0, max(0.5, verify.time_limit - waited)))
            except httpx.HTTPError as error:
                last = _why(error)
            else:
                if answer.status == 200:
                    return Ready(time.monotonic() - began, None)
                last = f"status {answer.status}: {shown(answer.body)}"
            time.sleep(PAUSE)
    return Ready(
        time.monotonic() - began,
        f"GET {address}{verify.ready} did not answer 200 within {verify.time_limit:g} s (last: {last})",
    )


def verify_address(
    address: str, verify: VerifySettings, extra: Sequence[Request] = (), source: str | None = None
) -> tuple[Check, ...]:
    """Wait for `verify.ready`, then make each request of `verify` and `extra` once, on a connection of its own.

    Gives what each took and what was wrong with its answer; readiness is the first, and the only one if it fails.
    """
    ready = wait_ready(address, verify, source=source)
    first = Check(f"GET {verify.ready}", ready.seconds * 1000, ready.failure)
    return (first, *ask_all(address, (*verify.request, *extra), source)) if first.ok else (first,)


def ask_all(address: str, requests: Sequence[Request], source: str | None = None) -> tuple[Check, ...]:
    """Make each request once, each on a connection of its own."""
    checks = []
    for request in requests:
        with _client(address, source) as client:
            checks.append(_check(client, request))
    return tuple(checks)


def failures(checks: Sequence[Check]) -> list[str]:
    """One line for each check that failed."""
    return [str(check) for check in checks if not check.ok]


def _check(client: httpx.Client, request: Request) -> Check:
    name = f"{request.verb} {request.path}"
    began = time.monotonic()
    try:
        answer = _ask(client, request, request.within)
    except httpx.HTTPError as error:
        return Check(name, (time.monotonic() - began) * 1000, f"no answer from {client.base_url}: {_why(error)}")
    return Check(name, answer.milliseconds, _wrong(request, answer))


def _wrong(request: Request, answer: _Answer) -> str | None:
    got = shown(answer.body)
    if answer.status != request.status:
        return f"expected status {request.status}, got {answer.status}: {got}"
    if answer.milliseconds > request.within * 1000:
        return f"expected an answer within {request.within:g} s, it took {answer.milliseconds / 1000:.2f} s"
    if request.contains is not None and request.contains not in answer.body.decode(errors="replace"):
        return f"expected {request.contains!r} in the body, got {got}"
    if not request.json_:
        return None
    try:
        document = json.loads(answer.body)
    except (ValueError, RecursionError):
        return f"expected JSON, got {got}"
    for pointer, expected in request.json_.items():
        try:
            value = found(document, pointer)
        except LookupError as error:
            return f"expected {shown(expected)} at {pointer!r}, but {error.args[0]}: {got}"
        if not same(value, expected):
            return f"expected {shown(expected)} at {pointer!r}, got {shown(value)}"
    return None


def _ask(client: httpx.Client, request: Request, limit: float) -> _Answer:
    """The answer, or httpx.HTTPError; a body that trickles in is cut at `limit` seconds in all, or at LIMIT bytes."""
    began = time.monotonic()
    content = request.body.encode() if isinstance(request.body, str) else None
    document: Any = request.body if request.body is not None and content is None else None
    with client.stream(
        request.verb, request.path, headers=dict(request.headers), content=content, json=document, timeout=limit
    ) as response:
        body = bytearray()
        for piece in response.iter_bytes():
            body += piece
            if time.monotonic() - began > limit:
                raise httpx.ReadTimeout(f"the body was not whole after {limit:g} s")
            if len(body) > LIMIT:
                raise httpx.ReadError(f"the body is larger than {LIMIT} bytes")
        return _Answer(response.status_code, bytes(body), (time.monotonic() - began) * 1000)


def _client(address: str, source: str | None) -> httpx.Client:
    """A client that follows no redirect; to this machine's own addresses it never goes through a proxy."""
    url = httpx.URL(address)
    try:
        local = url.host == "localhost" or ip_address(url.host).is_loopback
    except ValueError:
        local = False
    tls = ssl.create_default_context() if url.scheme == "https" else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    transport = httpx.HTTPTransport(verify=tls, local_address=source) if source else None
    return httpx.Client(base_url=url, transport=transport, verify=tls, trust_env=not local, follow_redirects=False)


def _why(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
