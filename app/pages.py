"""What people, load balancers and orchestrators look at: /, /version, /healthz, /readyz."""

from flask import Blueprint, Response, current_app, jsonify, render_template, request

from .readiness import ready_classifier
from .version import Version

blueprint = Blueprint("pages", __name__)

# Nothing comes from elsewhere, nothing runs that is not in static/.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@blueprint.get("/")
def home() -> Response:
    """`Healthy`; for a browser the page to try the model on."""
    accepted = request.accept_mimetypes
    if accepted["text/html"] > accepted["text/plain"]:
        version: Version = current_app.extensions["version"]
        static = current_app.extensions["static"]
        response = Response(
            render_template("try.html", version=version, static=static), content_type="text/html; charset=utf-8"
        )
        response.headers["Content-Security-Policy"] = POLICY
        response.headers["Referrer-Policy"] = "no-referrer"
    else:
        response = Response("Healthy", content_type="text/plain; charset=utf-8")
    response.headers["Vary"] = "Accept"
    response.headers["Cache-Control"] = "no-store"
    return response


@blueprint.get("/version")
def version() -> Response:
    """Commit, model, and the programs that serve them."""
    return _fresh(jsonify(current_app.extensions["version"].document()))


@blueprint.get("/healthz")
def healthz() -> Response:
    """200 while the process answers at all: whoever sees anything else may restart it."""
    return _fresh(jsonify(status="ok"))


@blueprint.get("/readyz")
def readyz() -> Response:
    """200 once the model has answered its golden sample; until then a 503 problem with the reason."""
    classifier = ready_classifier()
    return _fresh(jsonify(status="ready", model=classifier.card.name))


def _fresh(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    return response
