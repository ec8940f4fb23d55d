"""What runs images: one table by URL scheme, one file a target."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tandem.errors import SettingsError

if TYPE_CHECKING:  # the holder comes through here, and must start in no time
    from tandem.seams import Target
    from tandem.settings import Settings
    from tandem.targets.docker import Engine


def _process(settings: Settings, environment: str, engine: Callable[[], Engine]) -> Target:
    from tandem.targets.process import ProcessTarget

    return ProcessTarget.open(settings, environment)


def _docker(settings: Settings, environment: str, engine: Callable[[], Engine]) -> Target:
    from tandem.targets.docker import DockerTarget

    return DockerTarget.at(settings, environment, engine)


TARGETS = {"process": _process, "docker": _docker}


def open_target(settings: Settings, environment: str, engine: Callable[[], Engine] | None = None) -> Target:
    """The target of an app's environment; SettingsError where app.toml names none that is known.

    `engine` opens the Docker engine, for targets that need one.
    """

    def none() -> Engine:
        raise SettingsError(f"environments.{environment}.target: no Docker engine was given")

    url = settings.environment(environment).target
    scheme, colon, _ = url.partition(":")
    if not colon or scheme not in TARGETS:
        known = ", ".join(f"{name}:" for name in TARGETS)
        raise SettingsError(
            f"environments.{environment}.target: {url!r} is no target that is known; there are: {known}"
        )
    return TARGETS[scheme](settings, environment, engine or none)
