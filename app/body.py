"""The request of /score: {"input": X}, where X lists pictures in base64, or is a text that holds such a list."""

import json
import sys
import time
from typing import IO, NoReturn

from flask import Request
from werkzeug.exceptions import RequestEntityTooLarge

from .problems import Problem

EXAMPLE = '{"input": ["<base64 of a PNG or JPEG>"]}'


def elements(request: Request, most: int) -> list[object]:
    """What the request asks about, one element a picture, not yet looked at; raises Problem 400, 413, 415."""
    if request.mimetype != "application/json":
        raise Problem(415, f"Send application/json, not {request.mimetype or 'nothing'!r}: {EXAMPLE}")
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if charset not in ("utf-8", "utf8"):
        raise Problem(415, f"JSON is UTF-8 (RFC 8259), not {charset}: leave the charset out.")
    if request.content_encoding not in (None, "", "identity"):
        raise Problem(415, f"Content-Encoding {request.content_encoding} is not taken: send the JSON as it is.")
    body = _parsed(_content(request), "The body")
    if not isinstance(body, dict) or "input" not in body:
        raise Problem(400, f'The body must be a JSON object with "input": {EXAMPLE}')
    pictures = body["input"]
    if isinstance(pictures, str):
        pictures = _parsed(pictures, 'The text in "input"')
    if not isinstance(pictures, list) or not pictures:
        raise Problem(
            400, f'"input" must list at least one picture in base64, or be a text that holds such a list: {EXAMPLE}'
        )
    if len(pictures) > most:
        raise Problem(413, f"{len(pictures)} pictures in one request; this server takes {most}: send them in several.")
    return pictures


def _content(request: Request) -> bytes:
    limit = request.max_content_length or sys.maxsize
    # Where nobody says how long a body is, Werkzeug stops reading at the limit and does not say so.
    if (request.content_length or 0) <= limit:
        content = request.get_data(cache=False)
        if request.content_length is not None or len(content) < limit:
            return content
    _pass_over(request.environ["wsgi.input"], 4 * limit, time.monotonic() + 5)
    raise RequestEntityTooLarge


def _pass_over(body: IO[bytes], most: int, deadline: float) -> None:
    """Let a client finish sending: one whose connection ends while it sends never reads why (RFC 9112, 9.6)."""
    while most > 0 and time.monotonic() < deadline and (piece := body.read(65_536)):
        most -= len(piece)


def _parsed(text: str | bytes, what: str) -> object:
    try:
        return json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise Problem(400, f"{what} is nested too deeply: {EXAMPLE}") from None
    except ValueError as error:
        raise Problem(400, f"{what} is not JSON in UTF-8 ({error}): {EXAMPLE}") from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
