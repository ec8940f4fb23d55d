"""Putting a status on a commit: one POST, repeated while the forge is busy, and a refusal that says what to do."""

import time
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx

from tandem.messages.forges import Call, Forge
from tandem.messages.message import harmless
from tandem.messages.sending import Undelivered

BUSY = {429, 500, 502, 503, 504}
PAUSE = 1.0  # seconds between two attempts


def put(
    forge: Forge,
    call: Call,
    client: httpx.Client,
    patience: float = 8.0,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Put the status there; a forge that is busy or away is asked again for `patience` seconds. Raises Undelivered.

    The client must not follow redirects: the token is for this host alone.
    """
    deadline = clock() + patience
    while True:
        try:
            answer = client.post(call.url, headers=dict(call.headers), json=call.body, follow_redirects=False)
            trouble = _trouble(forge, call, answer)
            again = answer.status_code in BUSY
        except httpx.TransportError as error:
            trouble, again = f"{_host(call)} could not be reached ({type(error).__name__})", True
        if trouble is None:
            return
        if not again or clock() + PAUSE > deadline:
            raise Undelivered(trouble)
        sleep(PAUSE)


def _trouble(forge: Forge, call: Call, answer: httpx.Response) -> str | None:
    """Why the status is not there, with what to do; None where it is."""
    code, host = answer.status_code, _host(call)
    if code in (200, 201) and _is_object(answer):
        return None
    if call.fine and code == 400 and call.fine in answer.text:
        return None
    if answer.is_redirect:
        leads = urlsplit(answer.headers.get("Location", "")).hostname or "nowhere"
        return f"{host} leads to {harmless(leads, 100)}, where the token is not sent: set [source] api"
    if code in (200, 201, 203):
        return f"{host} answered with a page and not with JSON: is the token right, and [source] api?"
    if code == 401:
        return f"{host} does not take the token (HTTP 401): is it expired? It needs the scope {forge.scope}"
    if code in (403, 404):
        return f"{host} lets the token write no status here (HTTP {code}): it needs the scope {forge.scope}"
    said = harmless(answer.text, 120) if _is_object(answer) else ""
    return f"{host} answered HTTP {code}{f': {said}' if said else ''}"


def _is_object(answer: httpx.Response) -> bool:
    try:
        return isinstance(answer.json(), dict)
    except ValueError:
        return False


def _host(call: Call) -> str:
    return urlsplit(call.url).hostname or "the forge"
