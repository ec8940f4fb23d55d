"""Which servers are believed over TLS: one context for all clients of a process, since making one takes 20 ms."""

import os
import ssl
from functools import cache

import httpx


def trusted() -> ssl.SSLContext:
    """For `httpx.Client(verify=…)`: what httpx believes by itself, SSL_CERT_FILE and SSL_CERT_DIR as they are now."""
    return _context(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@cache
def _context(_file: str | None, _folder: str | None) -> ssl.SSLContext:
    return httpx.create_ssl_context()
