"""POST /score: pictures in, the best labels out."""

import json

from flask import Blueprint, Response, current_app, request

from .body import elements
from .classifier import NoAnswer
from .images import NotAnImage, TooManyPixels, decode, unwrap
from .metrics import Meters
from .preparing import prepare
from .problems import Problem
from .readiness import ready_classifier

blueprint = Blueprint("score", __name__)


@blueprint.post("/score")
def score() -> Response:
    """`{"input": [base64, …]}` → `{"result": [[[[label, percent], …], …], "Computed in 1.23 ms"]}`.

    One bad picture makes the whole a 400 whose `index` names it.
    """
    classifier = ready_classifier()
    left = current_app.config["MAX_PIXELS"]
    tensors = []
    for index, element in enumerate(elements(request, current_app.config["MAX_IMAGES"])):
        try:
            picture = decode(unwrap(element), left)
        except NotAnImage as error:
            raise Problem(400, f"Element {index} of the input {error}.", index=index) from error
        except TooManyPixels as error:
            most = f"{current_app.config['MAX_PIXELS']:,} pixels in one request"
            detail = f"Element {index} of the input is too large ({error}); this server takes {most}: scale it down."
            raise Problem(413, detail, index=index) from error
        left -= picture.width * picture.height
        tensors.append(prepare(picture, classifier.card.input))
    try:
        answer = classifier.classify(tensors)
    except NoAnswer as error:
        raise Problem(422, f"{error}. Try another picture.", index=error.index) from error
    meters: Meters = current_app.extensions["meters"]
    meters.pictures.inc(len(tensors))
    meters.inference.observe(answer.seconds)
    document = {"result": [answer.best, f"Computed in {answer.seconds * 1000:.2f} ms"]}
    return Response(json.dumps(document, separators=(",", ":"), ensure_ascii=False), content_type="application/json")
