"""Scores a shop's customers: a factory in a sub-package, as many Flask services have it."""

import json
import os

from flask import Flask, jsonify, request


def create_app(config=None):
    app = Flask(__name__)
    app.config.from_mapping(WEIGHTS_PATH=os.environ["WEIGHTS_PATH"])
    app.config.update(config or {})
    with open(app.config["WEIGHTS_PATH"]) as file:
        weights = json.load(file)

    @app.get("/health")
    def health():
        return "ok"

    @app.post("/score")
    def score():
        basket = request.get_json()
        return jsonify(score=sum(weights[name] * value for name, value in basket.items()), release="first")

    return app
