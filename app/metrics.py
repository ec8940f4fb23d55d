"""GET /metrics for Prometheus. One process serves (gthread, one worker), so one registry knows all."""

import time
from dataclasses import dataclass

from flask import Blueprint, Flask, Response, current_app, g, request
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

blueprint = Blueprint("metrics", __name__)

METHODS = ("GET", "HEAD", "POST", "OPTIONS")
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


@dataclass(frozen=True)
class Meters:
    """What is counted. Labels take only values of ours, never a client's, so that their number stays small."""

    registry: CollectorRegistry
    requests: Counter
    seconds: Histogram
    inference: Histogram
    pictures: Counter


def register(app: Flask, labels: dict[str, str]) -> None:
    """Count the requests of `app`, and say by `app_info` which commit and model it is."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    meters = Meters(
        registry,
        Counter("http_requests", "Requests answered", ["method", "path", "status"], registry=registry),
        Histogram("http_request_seconds", "From request to answer", ["path"], buckets=SECONDS, registry=registry),
        Histogram("inference_seconds", "Time in the network, a request", buckets=SECONDS, registry=registry),
        Counter("pictures", "Pictures classified", registry=registry),
    )
    Gauge("app_info", "What serves", list(labels), registry=registry).labels(**labels).set(1)
    ready = Gauge("ready", "Whether the model answered its golden sample", registry=registry)
    ready.set_function(lambda: app.extensions["readiness"].classifier is not None)
    app.extensions["meters"] = meters
    app.before_request(_begin)
    app.after_request(_end)


@blueprint.get("/metrics")
def metrics() -> Response:
    """Everything counted so far, in Prometheus' text format."""
    meters: Meters = current_app.extensions["meters"]
    return Response(generate_latest(meters.registry), content_type=CONTENT_TYPE_LATEST)


def _begin() -> None:
    g.began = time.perf_counter()


def _end(response: Response) -> Response:
    meters: Meters = current_app.extensions["meters"]
    path = request.url_rule.rule if request.url_rule else "other"
    method = request.method if request.method in METHODS else "other"
    meters.requests.labels(method, path, response.status_code).inc()
    meters.seconds.labels(path).observe(time.perf_counter() - g.began)
    return response
