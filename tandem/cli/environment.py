"""Which Prefect server records what a command does, and how its log looks: set before Prefect is imported."""

import json
import os
from collections.abc import MutableMapping
from dataclasses import dataclass
from pathlib import Path

from tandem.cli import children

# Stage lines for a person; Prefect's own levels and formats still win where somebody sets them.
LOG = {
    "PREFECT_LOGGING_FORMATTERS_STANDARD_FLOW_RUN_FMT": "%(asctime)s  %(message)s",
    "PREFECT_LOGGING_FORMATTERS_STANDARD_TASK_RUN_FMT": "%(asctime)s  %(task_run_name)s: %(message)s",
}
# A killed run stays Running: only the silence after its heartbeats tells.
HEARTBEATS = {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}
QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
}
# The default lease store forgets its leases, and keeps their slots taken, when the server is killed.
LEASES = {
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
}


@dataclass(frozen=True)
class Server:
    """A Prefect server: `url` is its API's address; `ours` where `tandem up` started it for this root."""

    url: str
    ours: bool

    @property
    def page(self) -> str:
        """The address of its pages."""
        return self.url.removesuffix("/").removesuffix("/api")


def home(root: Path) -> Path:
    """PREFECT_HOME of this root: its database, leases, results."""
    return root / ".tandem" / "prefect"


def server(root: Path, environ: MutableMapping[str, str] | None = None) -> Server | None:
    """The server that PREFECT_API_URL names, else the living one that `tandem up` started here, else None."""
    environ = os.environ if environ is None else environ
    if named := environ.get("PREFECT_API_URL"):
        return Server(named, ours=False)
    url = known(root, "url")
    return Server(url, ours=True) if url and children.find(root, "server") else None


def known(root: Path, key: str) -> str | None:
    """What `tandem up` noted of where things are: the `url` of the server's API, the address of the `receiver`."""
    try:
        value = json.loads((root / ".tandem" / "up.json").read_text())[key]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return str(value)


def note(root: Path, key: str, value: str) -> None:
    """Note it, whole or not at all."""
    file = root / ".tandem" / "up.json"
    try:
        before = dict(json.loads(file.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        before = {}
    new = file.with_suffix(".new")
    new.write_text(json.dumps(before | {key: value}))
    new.replace(file)


def prepare(root: Path, environ: MutableMapping[str, str] | None = None) -> Server | None:
    """Set what Prefect reads at its import; the server that will record, None for a temporary one."""
    environ = os.environ if environ is None else environ
    environ["TANDEM_ROOT"] = str(root)
    for name, value in (LOG | HEARTBEATS | QUIET).items():
        environ.setdefault(name, value)
    found = server(root, environ)
    if found is None or found.ours:
        environ.setdefault("PREFECT_HOME", str(home(root)))
        home(root).mkdir(parents=True, exist_ok=True)
    if found is None:
        environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")  # 20 s: too few on a busy machine
        environ.update(LEASES, PREFECT_SERVER_ALLOW_EPHEMERAL_MODE="true", PREFECT_SERVER_LOGGING_LEVEL="ERROR")
    else:
        environ["PREFECT_API_URL"] = found.url
    return found
