"""Requests to one repository of a registry: with its login, patient where it is busy, never telling a secret."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from threading import Lock

import httpx

from tandem.errors import Unreachable
from tandem.registries.answers import BUSY, failure, told
from tandem.registries.login import Challenge, Grant, Login, challenge_of

TRIES = 4
SPENT = 64 * 1024  # bytes of an answer that are read for its connection's sake
LONGEST = 30.0  # seconds that a busy registry is waited for in here; a longer wish goes to whoever called


class Wire:
    """Asks the registry at `origin` about `repository`. Safe to use from several threads."""

    def __init__(
        self,
        origin: str,
        repository: str,
        client: httpx.Client,
        login: Login,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.origin, self.repository = httpx.URL(origin), repository
        self.sleep, self.clock = sleep, clock
        self._client, self._login = client, login
        self._challenge: Challenge | None = None
        self._grants: dict[frozenset[str], Grant] = {}
        self._lock = Lock()

    def __str__(self) -> str:
        return f"{self.origin.netloc.decode()}/{self.repository}"

    def url(self, path: str) -> httpx.URL:
        """`/v2/<repository>/<path>`; the path may hold a query."""
        return self.origin.join(f"/v2/{self.repository}/{path}")

    def location(self, response: httpx.Response) -> httpx.URL:
        """Where an upload goes on. A proxy that names the host behind it is not followed there."""
        url = response.url.join(response.headers.get("Location", ""))
        if url.path.startswith(f"/v2/{self.repository}/blobs/uploads/"):
            return url.copy_with(scheme=self.origin.scheme, netloc=self.origin.netloc)
        return url

    @contextmanager
    def ask(
        self,
        method: str,
        url: httpx.URL,
        doing: str,
        *,
        ok: Iterable[int] = (200,),
        actions: str = "pull",
        headers: Mapping[str, str] | None = None,
        content: bytes | Iterator[bytes] | None = None,
        also: Iterable[str] = (),
    ) -> Iterator[httpx.Response]:
        """The answer, its body still to be read, if its status is among `ok`; else the error that it means.

        Busy answers and broken connections are tried again, unless `content` can be given only once. `also` are
        repositories that are read from, for a mount. Raises Unreachable, RegistryError, NotInRegistry.
        """
        what = f"{self}: {doing}"
        scopes = frozenset({f"repository:{self.repository}:{actions}", *(f"repository:{each}:pull" for each in also)})
        once = content is not None and not isinstance(content, bytes)
        for attempt in range(1, TRIES + 1):
            try:
                response = self._send(method, url, headers or {}, content, scopes, what)
            except Unreachable as away:  # the registry, or its token service
                wait = 0.25 * 2**attempt if away.retry_after is None else away.retry_after
                if once or attempt == TRIES or wait > LONGEST:
                    raise
            else:
                try:
                    if response.status_code in set(ok):
                        yield response
                        _spend(response)
                        return
                    refusal = failure(response, what)
                finally:
                    response.close()
                asked = refusal.retry_after if isinstance(refusal, Unreachable) else None
                wait = 0.25 * 2**attempt if asked is None else asked
                if once or attempt == TRIES or response.status_code not in BUSY or wait > LONGEST:
                    raise refusal
            self.sleep(wait)

    def _send(
        self,
        method: str,
        url: httpx.URL,
        headers: Mapping[str, str],
        content: bytes | Iterator[bytes] | None,
        scopes: frozenset[str],
        what: str,
    ) -> httpx.Response:
        """One request; and the same again with a login, where the registry asks for one."""
        grant = self._grant(scopes) if self._is_ours(url) else None
        response = self._send_once(method, url, headers, content, grant, what)
        challenge = challenge_of(response) if response.status_code == 401 and self._is_ours(response.url) else None
        if challenge is None or not (content is None or isinstance(content, bytes)):
            return response
        fresh = self._grant(scopes, challenge, grant)
        if fresh is None:
            return response
        response.close()
        return self._send_once(method, url, headers, content, fresh, what)

    def _send_once(
        self,
        method: str,
        url: httpx.URL,
        headers: Mapping[str, str],
        content: bytes | Iterator[bytes] | None,
        grant: Grant | None,
        what: str,
    ) -> httpx.Response:
        who = {"Authorization": grant.header} if grant else {}
        request = self._client.build_request(method, url, headers={**headers, **who}, content=content)
        try:  # httpx sends no Authorization on to another host
            return self._client.send(request, stream=True, follow_redirects=method in {"GET", "HEAD"})
        except httpx.TransportError as error:
            raise Unreachable(f"{what}: {told(error)}") from error

    def _is_ours(self, url: httpx.URL) -> bool:
        return (url.scheme, url.netloc) == (self.origin.scheme, self.origin.netloc)

    def _grant(
        self, scopes: frozenset[str], challenge: Challenge | None = None, refused: Grant | None = None
    ) -> Grant | None:
        """A login for the scopes: one that still lives and was not refused, or a new one.

        None before the registry has asked for the first time, and where there is nothing to log in with.
        """
        with self._lock:
            known = self._grants.get(scopes)
            if known and known != refused and self.clock() < known.until:
                return known
            self._challenge = challenge or self._challenge
            if self._challenge is None:
                return None
            grant = self._login.grant(self._challenge, scopes | set(self._challenge.scope.split()))
            if grant is not None:
                self._grants[scopes] = grant
            return grant


def _spend(response: httpx.Response) -> None:
    """Reads what little of an answer nobody asked for: a connection is used again only where nothing is left in it."""
    size = response.headers.get("Content-Length", "")
    bare = response.request.method == "HEAD" or response.status_code == 204
    if not response.is_stream_consumed and (bare or (size.isdigit() and int(size) <= SPENT)):
        with suppress(httpx.TransportError):
            for _ in response.iter_raw():
                pass
