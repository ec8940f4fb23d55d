"""A registry's answers, read with a deadline on their progress; and its refusals as errors that say what to do."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from tandem.errors import DigestMismatch, NotInRegistry, RegistryError, TandemError, Unreachable
from tandem.manifests import LIMIT

PIECE = 256 * 1024
PATIENCE = 60.0  # seconds in which at least SLOWEST bytes must come
SLOWEST = 64 * 1024
BUSY = {408, 429, 500, 502, 503, 504}
ROLES = "in Azure: AcrPull or AcrPush, or Container Registry Repository Reader or Writer where the registry uses ABAC"


class TooLarge(RegistryError):
    """The registry, or a proxy before it, does not take requests of this size."""


class BlobUnknown(RegistryError):
    """An image manifest needs a blob that the registry does not find."""


class OutOfStep(RegistryError):
    """An upload stands elsewhere than was thought."""


class NotLoggedIn(RegistryError):
    """The registry wants a login that was not given, or that has ended."""


def pieces(response: httpx.Response, what: str, clock: Callable[[], float] = time.monotonic) -> Iterator[bytes]:
    """The answer's body in pieces of 256 KiB or more; Unreachable where it trickles or breaks off."""
    held, since, seen = bytearray(), clock(), 0
    try:
        for part in response.iter_raw():
            held += part
            seen += len(part)
            if clock() - since > PATIENCE:
                if seen < SLOWEST:
                    raise Unreachable(f"{what}: only {seen} bytes came in {PATIENCE:.0f} s: try again")
                since, seen = clock(), 0
            if len(held) >= PIECE:
                yield bytes(held)
                held.clear()
    except httpx.TransportError as error:
        raise Unreachable(f"{what}: broke off: {told(error)}") from error
    if held:
        yield bytes(held)


def small(
    response: httpx.Response, what: str, limit: int = LIMIT, clock: Callable[[], float] = time.monotonic
) -> bytes:
    """The whole body of a small answer; RegistryError where it is not small."""
    content = b""
    for piece in pieces(response, what, clock):
        content += piece
        if len(content) > limit:
            raise RegistryError(f"{what}: answered more than {limit} bytes: is this a registry?")
    return content


def document(response: httpx.Response, what: str, clock: Callable[[], float] = time.monotonic) -> dict[str, Any]:
    """The JSON object of a small answer; RegistryError where it is none, such as a proxy's page."""
    content = small(response, what, clock=clock)
    try:
        found = json.loads(content)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        kind = response.headers.get("Content-Type", "something")
        raise RegistryError(f"{what}: answered {response.status_code} with {kind} that is no JSON object: is this "
                            "the registry's address, and not a proxy's?")  # fmt: skip
    return found


def failure(response: httpx.Response, what: str) -> TandemError:
    """The error that an unwanted answer means. Never holds a token: URLs are told without their query."""
    said, status = reasons(response, what), response.status_code
    words = f"{what}: {status}{': ' + said if said else ''}"
    if "no space left" in said:
        return RegistryError(f"{words}: the registry's disk is full: make room there, then try again")
    if "MANIFEST_BLOB_UNKNOWN" in said:
        return BlobUnknown(f"{words}: write that blob first")
    if "DIGEST_INVALID" in said:
        return DigestMismatch(f"{words}: other bytes came than were announced: changed on the way: try again")
    if status in BUSY:
        return Unreachable(f"{words}: try again", retry_after(response, datetime.now(UTC)))
    if status == 401 and "Authorization" in response.request.headers:
        return NotLoggedIn(f"{words}: this login has ended, or may not do that; {ROLES}")
    if status == 401:
        return NotLoggedIn(f"{words}: log in first: 'docker login', or [image] credentials in app.toml; {ROLES}")
    if status == 403:
        return RegistryError(f"{words}: this login may not do that; {ROLES}")
    if status == 404:
        return NotInRegistry(f"{words}: not there: was it deleted, or is the name another?")
    if status == 405:
        return RegistryError(f"{words}: the registry does not allow it; deleting is a setting of the registry")
    if status in {411, 413, 501}:
        return TooLarge(
            f"{words}: larger than the registry, or a proxy before it, takes: raise its client_max_body_size"
        )
    if status == 416:
        return OutOfStep(f"{words}: the upload stands elsewhere than it should: try again")
    if response.is_redirect:
        return RegistryError(f"{words}: sends elsewhere: name the address it sends to in app.toml")
    if status < 300 or "html" in response.headers.get("Content-Type", ""):
        return RegistryError(f"{words}: no registry answers so: is this the registry's address, and not a proxy's?")
    return RegistryError(f"{words}: the registry does not take this; its log says why")


def retry_after(response: httpx.Response, now: datetime) -> float | None:
    """Seconds until the service wants to be asked again (RFC 9110, 10.2.3), or None where it does not say."""
    said = response.headers.get("Retry-After", "")
    if said.isdigit():
        return float(said)
    try:
        return max(0.0, (parsedate_to_datetime(said) - now).total_seconds())
    except (ValueError, TypeError):
        return None


def told(error: Exception) -> str:
    """An error's text; some of httpx's have none."""
    return str(error) or type(error).__name__


def reasons(response: httpx.Response, what: str) -> str:
    """The codes and messages of the distribution-spec's error body, or the beginning of whatever came."""
    try:
        content = small(response, what)
    except TandemError:
        return ""
    try:
        errors = json.loads(content)["errors"]
        lines = [" ".join(str(each.get(key) or "") for key in ("code", "message", "detail")).strip() for each in errors]
        return "; ".join(lines)[:1000]
    except (ValueError, KeyError, TypeError, AttributeError):
        return " ".join(content[:200].decode(errors="replace").split())
