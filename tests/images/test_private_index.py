import base64
import logging
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tandem.errors import BuildFailed, Unreachable
from tandem.images.pip import without_secrets
from tandem.records import Image, Source
from tandem.settings import ImageSettings

PASSWORD = "pass-w0rd"


@pytest.fixture
def index(wheelhouse: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A package index that wants ada's password; where it is, without the password."""
    wanted = f"Basic {base64.b64encode(f'ada:{PASSWORD}'.encode()).decode()}"

    class Index(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.rstrip("/").rpartition("/")[2]
            files = [file.name for file in wheelhouse.iterdir()]
            if self.headers.get("Authorization") != wanted:
                self._answer(401, b"who are you?")
            elif name in files:
                self._answer(200, (wheelhouse / name).read_bytes())
            else:
                self._answer(200, "".join(f"<a href='/{file}'>{file}</a>" for file in files).encode())

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_NO_INDEX", "0")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Index) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}/simple"
        server.shutdown()


def test_a_private_index_works_by_pips_own_settings_and_its_password_stays_out(
    index: str,
    wheel: Callable[..., str],
    source: Callable[..., Source],
    settings: Callable[..., ImageSettings],
    build: Callable[..., Image],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    commit = source({"app.py": "", "requirements.txt": f"hello==1.0 --hash={wheel('hello', '1.0')}\n"})
    wish = settings(requirements="requirements.txt")
    monkeypatch.setenv("PIP_INDEX_URL", f"http://{index}")
    with pytest.raises(BuildFailed, match="refused pip: give it credentials"):
        build(commit, wish)
    monkeypatch.setenv("PIP_INDEX_URL", f"http://ada:{PASSWORD}@{index}")
    with caplog.at_level(logging.DEBUG):
        build(commit, wish)
    assert PASSWORD not in caplog.text
    assert [file for file in tmp_path.rglob("*") if file.is_file() and PASSWORD.encode() in file.read_bytes()] == []


def test_an_index_that_does_not_answer_is_worth_another_try_and_its_password_is_not_shown(
    index: str,
    source: Callable[..., Source],
    settings: Callable[..., ImageSettings],
    build: Callable[..., Image],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("PIP_INDEX_TOKEN", PASSWORD)
    lines = f"--index-url http://${{PIP_INDEX_TOKEN}}@127.0.0.1:9/simple\nhello==1.0 --hash=sha256:{'0' * 64}\n"
    with pytest.raises(Unreachable, match="the package index did not answer") as failed:
        build(source({"app.py": "", "requirements.txt": lines}), settings(requirements="requirements.txt"))
    assert PASSWORD not in str(failed.value)
    assert list((tmp_path / ".tandem").rglob("requirements.txt")) == []


def test_what_is_secret_in_an_address_is_not_shown() -> None:
    said = "Looking in https://ada:pass@example.org/simple, 'https://x.blob.example.org/w?sv=1&sig=abc#sha256=ff' and ?"
    assert without_secrets(said) == (
        "Looking in https://****@example.org/simple, 'https://x.blob.example.org/w?****#sha256=ff' and ?"
    )
