"""A digits model, the app that serves it, and pictures to ask it about."""

import base64
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image, ImageDraw

from app import create_app

ROOT = Path(__file__).parents[2]
# The first 7 of scikit-learn's digits, 8 × 8, grey: what `app/train.py --sample` writes.
SEVEN = (
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAAAAADhZOFXAAAARElEQVR4nCXGQRGAIBAAwHWGABdBGxiBBtIEbWADK9jAKESBBvrwtTuxx7aOJWEcNQY4"
    "W0hyVpWb+ek9A2/5vXr8aQU+TyoPEc3E9BYAAAAASUVORK5CYII="
)


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MODEL_DIR as a pipeline gives it; without one, a model trained here."""
    if given := os.environ.get("MODEL_DIR"):
        return Path(given)
    train = pytest.importorskip(
        "app.train", exc_type=ImportError, reason="set MODEL_DIR, or install app/train-requirements.txt"
    )
    folder = tmp_path_factory.mktemp("digits")
    train.train(folder)
    return folder


@pytest.fixture(scope="session")
def app(model_dir: Path) -> Flask:
    app = create_app({"MODEL_DIR": str(model_dir), "COMMIT": "c0ffee", "MODEL_VERSION": "0123", "MAX_IMAGES": 8})
    assert app.extensions["readiness"].wait(60), app.extensions["readiness"].reason
    return app


@pytest.fixture
def client(app: Flask) -> Iterator[FlaskClient]:
    with app.test_client() as client:
        yield client


@pytest.fixture(scope="session")
def seven() -> str:
    return SEVEN


@pytest.fixture(scope="session")
def encoded() -> Callable[..., str]:
    """A picture's base64, as a client sends it: `encoded(picture, "PNG")`."""

    def encode(picture: Image.Image, kind: str = "PNG", **options: object) -> str:
        file = io.BytesIO()
        picture.save(file, kind, **options)
        return base64.b64encode(file.getvalue()).decode()

    return encode


@pytest.fixture(scope="session")
def drawn_seven() -> Image.Image:
    """A 7 as a person draws one: dark on white, off the middle, 280 × 280."""
    picture = Image.new("L", (280, 280), 255)
    points = [(80, 60), (210, 60), (170, 140), (130, 250)]
    ImageDraw.Draw(picture).line(points, fill=20, width=24, joint="curve")
    return picture
