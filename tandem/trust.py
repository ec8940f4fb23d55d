"""Which servers are believed over TLS: one context for all clients of a process, since making one takes 20 ms."""

import os
import ssl
from contextlib import suppress
from functools import cache
from pathlib import Path

import httpx


def trusted() -> ssl.SSLContext:
    """For `httpx.Client(verify=…)`: what httpx believes by itself, SSL_CERT_FILE and SSL_CERT_DIR as they are now."""
    places = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    return _context(places, tuple(map(_written, places)))


def _written(place: str | None) -> int:
    """When; a bundle that is renewed where it lies is read again."""
    with suppress(OSError):
        return Path(place).stat().st_mtime_ns if place else 0
    return 0


@cache
def _context(_places: tuple[str | None, ...], _times: tuple[int, ...]) -> ssl.SSLContext:
    return httpx.create_ssl_context()
