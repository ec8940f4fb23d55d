"""A real receiver on a free port, with apps of its own, before a double of Prefect's API."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tandem.triggers.api import connect
from tandem.triggers.hints import Hints
from tandem.triggers.listening import Listening
from tandem.triggers.receive import Listener, listen
from tandem.triggers.webhook import create_app
from tests.triggers.hooks import Sent
from tests.triggers.prefect_double import PrefectDouble

NOW = 1_800_000_000.0
SECRET = "a secret of the shop, long enough"
APP_TOML = """
[source]
repository = "{repository}"
[model]
store = "{store}"
name = "shop"
newest = "{newest}"
[image]
registry = "oci:registry"
[hooks]
"""
SENDERS = ("github", "gitlab", "azure-devops", "bitbucket", "gitea", "event-grid", "generic")


def write_app(
    root: Path,
    app: str,
    repository: str = "https://github.com/acme/shop",
    secret: str = "SHOP_SECRET",
    store: str = "azure-blob:https://acme.blob.core.windows.net/models",
    newest: str = "published",
    hooks: tuple[str, ...] = SENDERS,
) -> None:
    """deployments/APP/app.toml, which hears these senders."""
    folder = root / "deployments" / app
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(f'{sender} = {{ env = "{secret}" }}\n' for sender in hooks)
    text = APP_TOML.format(repository=repository, store=store, newest=newest) + lines
    (folder / "app.toml.new").write_text(text)
    (folder / "app.toml.new").rename(folder / "app.toml")


@dataclass
class Lines(logging.Handler):
    """What was logged."""

    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    __hash__ = object.__hash__

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())

    def wait(self, text: str, seconds: float = 120.0) -> str:
        """Until a line holds this text; that line."""
        deadline = time.monotonic() + seconds
        while not (found := [line for line in self.said if text in line]):
            assert time.monotonic() < deadline, f"no {text!r} in {self.said}"
            time.sleep(0.01)
        return found[0]


@dataclass
class Receiver:
    """A receiver, and what a test does with it."""

    root: Path
    server: Listener
    log: Lines
    prefect: PrefectDouble

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.effective_port}"

    def take(self, sent: Sent, method: str = "POST") -> httpx.Response:
        """Send a hook."""
        return self.client.request(
            method, f"{self.url}/hooks/{sent.sender}", content=sent.body, headers=sent.headers, params=sent.query
        )

    def __post_init__(self) -> None:
        self.client = httpx.Client(timeout=120)

    def noted(self) -> list[str]:
        """The apps that were made dirty, one a hook, in order."""
        return [line.partition(" -> ")[2] for line in self.log.said if " -> " in line]


@pytest.fixture
def prefect() -> Iterator[PrefectDouble]:
    double = PrefectDouble()
    double.up()
    yield double
    double.down()


Open = Callable[..., Receiver]


@pytest.fixture
def open_receiver(tmp_path: Path, prefect: PrefectDouble) -> Iterator[Open]:
    """Opens a receiver of the app folders in tmp_path; `environ` holds the secrets."""
    opened: list[tuple[Hints, Listening, Listener]] = []

    def open(environ: dict[str, str] | None = None, now: Callable[[], float] = lambda: NOW) -> Receiver:
        lines = Lines()
        log = logging.Logger("receiver")
        log.addHandler(lines)
        environ = {"SHOP_SECRET": SECRET} if environ is None else environ
        hints = Hints(lambda: connect({"PREFECT_API_URL": prefect.url}, patience=0.2), log).__enter__()
        listening = Listening(tmp_path, environ, log, pause=0.02).__enter__()
        server = listen(create_app(listening, hints, log, now), "127.0.0.1", 0)
        threading.Thread(target=server.run, daemon=True).start()
        opened.append((hints, listening, server))
        return Receiver(tmp_path, server, lines, prefect)

    yield open
    for hints, listening, server in opened:
        hints.__exit__()
        listening.__exit__()
        for channel in list(server.active_channels.values()):
            channel.will_close = True
        server.close()


@pytest.fixture
def receiver(tmp_path: Path, open_receiver: Open) -> Receiver:
    """A receiver of one app, `shop`, that hears every sender by one secret."""
    write_app(tmp_path, "shop")
    return open_receiver()
