import json

import pytest

from shop.scoring import create_app


@pytest.fixture
def client(tmp_path, monkeypatch):
    (tmp_path / "weights.json").write_text(json.dumps({"apples": 2}))
    monkeypatch.setenv("WEIGHTS_PATH", str(tmp_path / "weights.json"))
    return create_app({"TESTING": True}).test_client()


def test_a_basket_is_scored(client):
    assert client.post("/score", json={"apples": 3}).json["score"] == 6
