"""A web service that answers what is on a picture, by any ONNX classifier: see docs/model-json.md."""

import hashlib
import logging
import os
from collections.abc import Mapping
from pathlib import Path

from flask import Flask, Response

from . import metrics, pages, problems, score
from .card import BadModel, read_card
from .readiness import Readiness
from .version import Version, served_by

DEFAULTS: Mapping[str, object] = {
    "COMMIT": "unknown",
    "MODEL_VERSION": "unknown",
    "MAX_CONTENT_LENGTH": 16 * 1024 * 1024,  # bytes of a body
    "MAX_IMAGES": 64,  # pictures in one request
    "MAX_PIXELS": 16_000_000,  # of all pictures in one request together, before anything is decoded
    "INFERENCE_THREADS": 0,  # CPUs that one inference may use; 0: ONNX Runtime's choice
}


def create_app(config: Mapping[str, object] | None = None) -> Flask:
    """The app, its model loading in the background. `config` goes before the environment, that before DEFAULTS.

    MODEL_DIR names the model's folder; raises BadModel where that is not said, or holds no model that can be served.
    """
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    app = Flask(__name__)
    app.config.from_mapping(_settings(config or {}))
    if not app.config.get("MODEL_DIR"):
        raise BadModel("MODEL_DIR is not set: let it name the folder that holds model.json and the weights")
    card = read_card(Path(str(app.config["MODEL_DIR"])))
    version = Version(
        commit=app.config["COMMIT"],
        model=card.name,
        model_version=app.config["MODEL_VERSION"] if app.config["MODEL_VERSION"] != "unknown" else card.version,
        model_commit=card.commit,
        served_by=served_by(),
    )
    app.extensions["version"] = version
    app.extensions["static"] = _static(Path(app.static_folder or ""))
    problems.register(app)
    metrics.register(app, {"commit": version.commit, "model": version.model, "model_version": version.model_version})
    for blueprint in (score.blueprint, pages.blueprint, metrics.blueprint):
        app.register_blueprint(blueprint)
    app.extensions["readiness"] = Readiness(card, app.config["INFERENCE_THREADS"])

    @app.after_request
    def sign(response: Response) -> Response:
        response.headers["X-Content-Type-Options"] = "nosniff"
        # Which one answered, exactly, also while one release takes the place of another.
        response.headers["X-Commit"] = version.commit
        response.headers["X-Model"] = f"{version.model} {version.model_version}"
        return response

    return app


def _settings(config: Mapping[str, object]) -> dict[str, object]:
    """Every setting's value; a number in the environment is a whole one."""
    settings: dict[str, object] = dict(DEFAULTS)
    for key in (*DEFAULTS, "MODEL_DIR"):
        if (text := os.environ.get(key, "")) != "":
            if isinstance(DEFAULTS.get(key), int) and not text.isdecimal():
                raise ValueError(f"{key}={text}: must be a whole number")
            settings[key] = int(text) if isinstance(DEFAULTS.get(key), int) else text
    return {**settings, **config}


def _static(folder: Path) -> dict[str, str]:
    """Each static file's address, with its content's hash: built images give files one date for ever."""
    files = sorted(file for file in folder.iterdir() if file.is_file())
    return {file.name: f"static/{file.name}?v={hashlib.sha256(file.read_bytes()).hexdigest()[:12]}" for file in files}
