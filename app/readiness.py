"""Loading a model while the server answers already: gigabytes take longer than a health check waits."""

import logging
import threading

from flask import current_app

from .card import Card
from .classifier import Classifier, load
from .problems import Problem

log = logging.getLogger(__name__)


class Readiness:
    """A classifier that is on its way: there, or not yet, or never, with the reason."""

    def __init__(self, card: Card, threads: int) -> None:
        self.card = card
        self.reason = "The model is being loaded."
        self.classifier: Classifier | None = None
        self._thread = threading.Thread(target=self._load, args=(threads,), name="load model", daemon=True)
        self._thread.start()

    def _load(self, threads: int) -> None:
        try:
            self.classifier = load(self.card, threads)
            log.info("model %s loaded from %s", self.card.name, self.card.weights)
        except Exception as error:
            self.reason = f"The model does not work: {error}"
            log.error("not ready, and will not be: %s", self.reason)

    def wait(self, timeout: float) -> bool:
        """Wait for the end of loading, `timeout` seconds at most; returns whether the model is ready."""
        self._thread.join(timeout)
        return self.classifier is not None


def ready_classifier() -> Classifier:
    """The current app's classifier; a 503 problem where there is none."""
    readiness: Readiness = current_app.extensions["readiness"]
    if readiness.classifier is None:
        raise Problem(503, readiness.reason, {"Retry-After": "1"})
    return readiness.classifier
