"""Statuses on commits: how each stands with the app's tests, and which environments run it, where developers look."""

import subprocess

import httpx
from prefect import runtime
from prefect.settings import PREFECT_UI_URL

from tandem.errors import SettingsError
from tandem.messages.forges import Forge, Place, Standing, Status, find
from tandem.messages.sending import send_all
from tandem.messages.statuses import put
from tandem.records import Candidate
from tandem.settings import Settings
from tandem.trust import trusted

from . import backends
from .deliver import log, safe


def integrating(settings: Settings, commit: str) -> None:
    """Integrate has begun."""
    _say(settings, commit, "pending", settings.app, "tests, build and trial are under way")


def integrated(settings: Settings, commit: str, tag: str) -> None:
    """The commit has a candidate."""
    _say(settings, commit, "success", settings.app, f"candidate {tag}")


def integrate_failed(settings: Settings, commit: str, guilt: str) -> None:
    """`guilt` says what of the app failed; "" where something around it did, and it is tried again."""
    says = guilt or "something around the app failed; it is tried again"
    _say(settings, commit, "failure" if guilt else "error", settings.app, says)


def cut_short(settings: Settings, commit: str) -> None:
    """The run was cancelled, or its process is being ended."""
    _say(settings, commit, "error", settings.app, "was cut short before it was done")


def runs(settings: Settings, environment: str, candidate: Candidate) -> None:
    """The commit runs in an environment, which is a row of its own."""
    says = f"runs in {environment}, with model {candidate.pair.model[:12]}"
    _say(settings, candidate.pair.commit, "success", f"{settings.app}/{environment}", says)


def failed(settings: Settings, environment: str, candidate: Candidate, blocked: bool) -> None:
    """The commit was taken back from an environment."""
    says = f"was taken back from {environment}{'' if blocked else ': the environment was to blame'}"
    standing: Standing = "failure" if blocked else "error"
    _say(settings, candidate.pair.commit, standing, f"{settings.app}/{environment}", says)


def forge(settings: Settings) -> tuple[Forge, Place, str] | None:
    """The forge, the repository's place there and the token; None where app.toml names none. Raises SettingsError."""
    source = settings.toml.source
    if source.status is None:
        return None
    address = _origin(settings) if source.repository == "." else source.repository
    return *find(source, address), backends.secret(source.status, "source.status") or ""


def _say(settings: Settings, commit: str, standing: Standing, row: str, description: str) -> None:
    """Within 10 s, or a warning: a forge that is away stops nothing."""
    if settings.toml.source.status is None:
        return
    try:
        kind, place, token = forge(settings) or (None, None, "")
        if kind and place:
            call = kind.call(place, commit, Status(standing, f"tandem/{row}", description, _link()), token)
            with httpx.Client(timeout=5.0, follow_redirects=False, verify=trusted()) as client:
                trouble = send_all({"status": lambda: put(kind, call, client)}).get("status")
            if trouble:
                log().warning("commit %s has no status %r: %s", commit[:12], standing, trouble)
    except Exception as error:
        log().warning("commit %s has no status %r: %s", commit[:12], standing, safe(error))


def _link() -> str:
    ui = str(PREFECT_UI_URL.value() or "").rstrip("/")
    return f"{ui}/runs/flow-run/{runtime.flow_run.id}" if ui and runtime.flow_run.id else ""


def _origin(settings: Settings) -> str:
    """Where the checkout's own repository comes from."""
    argv = ["git", "-C", str(settings.root), "remote", "get-url", "origin"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=10)
    if done.returncode:
        raise SettingsError(
            "source.status: source.repository is '.', and it has no remote 'origin': name the repository by its URL"
        )
    return done.stdout.strip()
