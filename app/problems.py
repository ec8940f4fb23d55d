"""Every error as problem details (RFC 9457, application/problem+json) that say what to do."""

import json
import logging
from http import HTTPStatus

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

log = logging.getLogger(__name__)

WHAT_TO_DO = {
    404: "There is nothing at {path}. POST pictures to /score, or open / in a browser.",
    405: "{path} does not take {method}; it takes {allowed}.",
    413: "The body is larger than this server takes ({limit} bytes): send fewer or smaller pictures in one request.",
}


class Problem(HTTPException):
    """An answer that is an error: a status, what to do about it, and further members of the problem details."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None, **members: object) -> None:
        super().__init__(detail)
        self.code = status
        self.members = members
        self.headers = headers or {}


def register(app: Flask) -> None:
    """Let `app` answer every error, its own and Flask's, with problem details."""
    app.register_error_handler(HTTPException, _known)
    app.register_error_handler(Exception, _unforeseen)


def _known(error: HTTPException) -> Response:
    status = error.code or 500
    detail = error.description or HTTPStatus(status).description
    if not isinstance(error, Problem) and status in WHAT_TO_DO:
        allowed = ", ".join(sorted(getattr(error, "valid_methods", None) or []))
        detail = WHAT_TO_DO[status].format(
            path=request.path, method=request.method, allowed=allowed, limit=request.max_content_length
        )
    response = _response(status, detail, getattr(error, "members", {}))
    # Allow (405), Retry-After and their like: whatever the error itself sends, except for how its body is written.
    for name, value in [*error.get_headers(), *getattr(error, "headers", {}).items()]:
        if name.lower() not in ("content-type", "content-length"):
            response.headers[name] = value
    return response


def _unforeseen(error: Exception) -> Response:
    log.error("%s %s failed", request.method, request.path, exc_info=error)
    return _response(500, "This is a mistake of the server, not of the request. Its log says what happened.", {})


def _response(status: int, detail: str, members: dict[str, object]) -> Response:
    document = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return Response(json.dumps(document | members), status, content_type="application/problem+json")
