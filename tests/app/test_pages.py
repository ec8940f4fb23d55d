"""What people, load balancers and orchestrators look at."""

import re
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app import create_app

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.mark.parametrize("accept", [None, "*/*", "text/plain", "application/json"])
def test_whoever_is_no_browser_reads_healthy(client: FlaskClient, accept: str | None) -> None:
    response = client.get("/", headers={"Accept": accept} if accept else {})
    assert (response.status_code, response.text) == (200, "Healthy")
    assert client.head("/").status_code == 200


def test_a_browser_gets_a_page_that_names_commit_and_model(client: FlaskClient) -> None:
    response = client.get("/", headers={"Accept": BROWSER})
    assert response.content_type == "text/html; charset=utf-8"
    assert "c0ffee" in response.text and "0123" in response.text
    assert response.headers["Vary"] == "Accept"


def test_the_page_runs_and_loads_nothing_that_is_not_its_own(client: FlaskClient) -> None:
    page = client.get("/", headers={"Accept": BROWSER})
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
    assert not re.search(r"https?://|<style|style=|\son\w+=|<script(?! type=\"module\" src)", page.text)
    for address in re.findall(r'(?:src|href)="(static/[^"]+)"', page.text):
        found = client.get(f"/{address}")
        assert found.status_code == 200
        assert not re.search(r"https?://|@import|eval\(", found.text)


def test_the_version_says_commit_model_and_what_serves_them(client: FlaskClient) -> None:
    version = client.get("/version").json
    assert version["commit"] == "c0ffee"
    assert version["model"]["name"] == "digits" and version["model"]["version"] == "0123"
    assert set(version["served_by"]) == {"python", "gunicorn", "flask", "onnxruntime"}


def test_what_nobody_said_is_unknown(model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COMMIT", raising=False)
    monkeypatch.delenv("MODEL_VERSION", raising=False)
    version = create_app({"MODEL_DIR": str(model_dir)}).test_client().get("/version").json
    assert version["commit"] == "unknown"


def test_settings_come_from_the_environment(model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"MODEL_DIR": str(model_dir), "COMMIT": "abc", "MAX_IMAGES": "2"}.items():
        monkeypatch.setenv(name, value)
    app = create_app()
    assert (app.config["COMMIT"], app.config["MAX_IMAGES"]) == ("abc", 2)
    monkeypatch.setenv("MAX_IMAGES", "many")
    with pytest.raises(ValueError, match="MAX_IMAGES=many"):
        create_app()


def test_health_and_readiness_answer(client: FlaskClient) -> None:
    assert client.get("/healthz").json == {"status": "ok"}
    assert client.get("/readyz").json == {"status": "ready", "model": "digits"}


def test_the_metrics_count_requests_pictures_and_seconds(client: FlaskClient, seven: str) -> None:
    client.post("/score", json={"input": [seven]})
    client.post("/score", json={"input": [7]})
    client.get("/made/up")
    client.open("/made/up", method="BREW")
    text = client.get("/metrics").text
    for line in (
        'http_requests_total{method="POST",path="/score",status="200"}',
        'http_requests_total{method="POST",path="/score",status="400"}',
        'http_requests_total{method="GET",path="other",status="404"}',
        'http_requests_total{method="other",path="other",status="404"}',
        "pictures_total",
        "inference_seconds_sum",
        'app_info{commit="c0ffee",model="digits",model_version="0123"} 1.0',
        "ready 1.0",
    ):
        assert line in text
    assert "made" not in text and "BREW" not in text


def test_a_mistake_of_ours_is_a_problem_too_and_tells_no_secrets(app: Flask, model_dir: Path) -> None:
    broken = create_app({"MODEL_DIR": str(model_dir)})
    broken.add_url_rule("/broken", view_func=lambda: 1 / 0)
    response = broken.test_client().get("/broken")
    assert response.status_code == 500 and response.content_type == "application/problem+json"
    assert "division" not in response.text
