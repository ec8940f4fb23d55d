"""Ending what process: environments run."""

from collections.abc import Callable, Sequence
from pathlib import Path

from tandem.errors import TandemError
from tandem.settings import Settings
from tandem.targets import open_target


def end_all(root: Path, apps: Sequence[str], say: Callable[[str], None]) -> None:
    """End the app and its holder in every environment whose target is this machine's own processes."""
    for app in apps:
        settings = Settings.load(app, root)
        for name, environment in settings.toml.environments.items():
            if environment.target.startswith("process:"):
                target = open_target(settings, name)
                stop = getattr(target, "stop", None)
                if stop is None:
                    raise TandemError(f"{app} in {name}: the target {environment.target} cannot be ended from here")
                stop()
                say(f"{app} in {name}: ended")
