"""What the builder `docker` is given: the daemon, its login and secrets, and a run's log and progress."""

from uuid import UUID

from prefect import get_run_logger
from prefect.artifacts import create_progress_artifact, update_progress_artifact

from tandem.images.docker_daemon import Daemon
from tandem.records import Progress
from tandem.settings import Settings

from . import backends, cards, engine


def daemon(settings: Settings) -> Daemon:
    """The Docker daemon that [image] engine or DOCKER_HOST names, for the task that asks. Raises SettingsError."""
    host, log = engine.docker_host(settings), get_run_logger()
    return Daemon(
        open=host.get_client,
        url=host.base_url or "",
        login=lambda: engine.remote(settings, "").auth,
        secrets=lambda: _secrets(settings),
        say=lambda text: log.info("%s", text),
        tell=_Steps(f"build-{settings.app}").take,
    )


def _secrets(settings: Settings) -> dict[str, str]:
    places = settings.toml.image.secrets
    return {name: str(backends.secret(place, f"image.secrets.{name}")) for name, place in places.items()}


class _Steps:
    """The Dockerfile's steps as one progress bar on the run's page."""

    def __init__(self, name: str) -> None:
        self.key = cards.key(name)
        self.bar: UUID | None = None

    def take(self, step: Progress) -> None:
        percent = 100.0 * step.done / max(step.total, 1)
        words = f"step {step.done + 1} of {step.total}: {cards.escape(step.message)}"
        if self.bar is None:
            made = create_progress_artifact(percent, key=self.key, description=words)
            self.bar = made if isinstance(made, UUID) else None
        else:
            update_progress_artifact(self.bar, percent, description=words)
