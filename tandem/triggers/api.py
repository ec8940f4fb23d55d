"""Prefect's REST API, asked so that a busy server is a delay and not an error.

SQLite behind Prefect answers some requests with 503 as soon as several clients write; there is no Retry-After.
Requests are repeated with jitter, and those that create carry an idempotency key of their own.
"""

import os
import random
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import httpx

from tandem.errors import TandemError, Unreachable
from tandem.trust import trusted

BUSY = {429, 502, 503, 504}


class NoServer(TandemError):
    """No Prefect server is named or running; says how to get one."""


class ApiError(TandemError):
    """Prefect's server refused a request; `status` is HTTP's."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


PATIENCE = 90.0  # seconds: on SQLite Prefect's server now and then waits for its own lock, and gives up after 60


@dataclass(frozen=True)
class Api:
    """A Prefect server. `patience` is how many seconds a busy or absent server is waited for."""

    client: httpx.Client
    patience: float = PATIENCE
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[float, float], float] = field(default=random.uniform)

    def get(self, path: str) -> object:
        """The answer's JSON; raises ApiError (`status` 404 where there is nothing), Unreachable."""
        return self.ask("GET", path)

    def post(self, path: str, body: object) -> object:
        """The answer's JSON. A POST that creates must carry a key or a name that makes a repeat harmless."""
        return self.ask("POST", path, body)

    def ask(self, method: str, path: str, body: object = None) -> object:
        """One request, repeated while the server is busy or away, until `patience` ends.

        Raises Unreachable with what was last seen, ApiError for every other refusal.
        """
        deadline, pause, shown = self.clock() + self.patience, 0.1, False
        while True:
            try:
                answer = self.client.request(method, path, json=body)
                if not shown and answer.status_code == 403 and "CSRF" in answer.text:
                    answer = self._with_csrf_token(method, path, body)
                    shown = answer.status_code not in BUSY
                if answer.status_code not in BUSY:
                    return _content(answer)
                seen = f"HTTP {answer.status_code}"
            except httpx.TransportError as error:
                seen = f"{type(error).__name__}: {error}"
            if self.clock() + pause > deadline:
                raise Unreachable(
                    f"Prefect's server at {self.client.base_url} did not answer {method} {path} within "
                    f"{self.patience:.0f} s (last: {seen}): is it running? 'tandem up' starts one"
                )
            self.sleep(self.jitter(pause / 2, pause * 1.5))
            pause = min(pause * 2, 3.0)

    def _with_csrf_token(self, method: str, path: str, body: object) -> httpx.Response:
        """The same with the token that a server with PREFECT_SERVER_CSRF_PROTECTION_ENABLED asks for, from here on."""
        name = secrets.token_hex(16)
        token = self.client.get("csrf-token", params={"client": name})
        if not token.is_success:
            return token
        self.client.headers.update({"Prefect-Csrf-Token": token.json()["token"], "Prefect-Csrf-Client": name})
        return self.client.request(method, path, json=body)


def connect(environ: Mapping[str, str] | None = None, patience: float = PATIENCE) -> Api:
    """The server that PREFECT_API_URL names, with the key or the `user:password` that Prefect's settings hold.

    Without PREFECT_API_URL, inside a flow run, the temporary server that records the run. Raises NoServer.
    """
    environ = os.environ if environ is None else environ
    url = environ.get("PREFECT_API_URL") or _temporary_server()
    if not url:
        raise NoServer("no Prefect server: start one with 'tandem up', or name one in PREFECT_API_URL")
    headers = {"Authorization": f"Bearer {key}"} if (key := environ.get("PREFECT_API_KEY")) else {}
    user, _, password = environ.get("PREFECT_API_AUTH_STRING", "").partition(":")
    auth = httpx.BasicAuth(user, password) if user else None
    base, timeout = url.rstrip("/") + "/", httpx.Timeout(20.0)
    client = httpx.Client(base_url=base, headers=headers, auth=auth, timeout=timeout, verify=trusted())
    return Api(client, patience)


def _temporary_server() -> str | None:
    """The address of the server that Prefect started for this process alone, if it has started one."""
    import sys

    if "prefect.server.api.server" not in sys.modules:
        return None
    from prefect.server.api.server import SubprocessASGIServer

    server = SubprocessASGIServer()
    return server.api_url if server.running else None


def _content(answer: httpx.Response) -> object:
    if answer.is_success:
        return answer.json() if answer.content else None
    try:
        document = answer.json()
        said = document.get("detail") or document.get("exception_message") or document
    except ValueError:
        said = answer.text[:200]
    request = answer.request
    message = f"Prefect's server refused {request.method} {request.url.path}: HTTP {answer.status_code}: {said}"
    raise ApiError(message, answer.status_code)
