"""Upload sessions of a registry (distribution-spec, pushing blobs): begin, ask how far, finish, forget."""

import re
from contextlib import suppress

import httpx

from tandem.errors import NotInRegistry, TandemError, Unreachable
from tandem.registries.wire import Wire

PUSH = "pull,push"
OCTETS = {"Content-Type": "application/octet-stream"}


def begin(wire: Wire, name: str, digest: str | None = None, source: str = "") -> httpx.URL | None:
    """Where an upload goes on; None where the registry could mount the digest from the repository `source` instead."""
    asked = f"?{httpx.QueryParams({'mount': digest, 'from': source})}" if digest else ""
    url = wire.url(f"blobs/uploads/{asked}")
    also = () if source in {"", wire.repository} else (source,)
    with wire.ask("POST", url, f"pushing {name}", ok=(201, 202), actions=PUSH, content=b"", also=also) as answer:
        return None if answer.status_code == 201 else wire.location(answer)


def look(wire: Wire, name: str, location: httpx.URL) -> tuple[httpx.URL, int]:
    """Where an upload goes on, and how many bytes of it the registry has. NotInRegistry where it has forgotten it."""
    with wire.ask("GET", location, f"asking how far {name} came", ok=(200, 202, 204), actions=PUSH) as answer:
        # "0-0" is what registries say of an upload without a byte; none of ours is one byte long.
        match = re.fullmatch(r"(?:bytes=)?0-(\d+)", answer.headers.get("Range", ""))
        last = int(match[1]) if match else 0
        return wire.location(answer) if "Location" in answer.headers else location, last + 1 if last else 0


def finish(wire: Wire, name: str, location: httpx.URL, digest: str, content: bytes = b"") -> None:
    """Close an upload with its digest, and its content where it is small. One whose answer was lost is asked for."""
    url, doing = location.copy_merge_params({"digest": digest}), f"pushing {name} as {digest}"
    try:
        with wire.ask("PUT", url, doing, ok=(201, 204), actions=PUSH, headers=OCTETS, content=content):
            return
    except (Unreachable, NotInRegistry):
        with suppress(TandemError), wire.ask("HEAD", wire.url(f"blobs/{digest}"), doing):
            return
        raise


def forget(wire: Wire, location: httpx.URL) -> None:
    """Tell the registry that this upload will not end; whether it listens does not matter."""
    with suppress(TandemError), wire.ask("DELETE", location, "cancelling", ok=(202, 204), actions=PUSH):
        pass
