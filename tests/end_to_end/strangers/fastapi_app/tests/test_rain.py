from fastapi.testclient import TestClient

from service import main


def test_rain_is_likely_somewhere(tmp_path, monkeypatch):
    (tmp_path / "chances.json").write_text('{"Bergen": 0.9}')
    monkeypatch.setattr(main, "MODEL_DIR", tmp_path)
    assert TestClient(main.app).get("/rain/Bergen").json()["chance"] == 0.9


def test_an_unknown_city_is_not_found(tmp_path, monkeypatch):
    (tmp_path / "chances.json").write_text("{}")
    monkeypatch.setattr(main, "MODEL_DIR", tmp_path)
    assert TestClient(main.app).get("/rain/Atlantis").status_code == 404
