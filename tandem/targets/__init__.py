"""What runs images: one table by URL scheme, one file a target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tandem.errors import SettingsError

if TYPE_CHECKING:  # the holder comes through here, and must start in no time
    from tandem.seams import Target
    from tandem.settings import Settings


def open_target(settings: Settings, environment: str) -> Target:
    """The target of an app's environment; SettingsError where app.toml names none that is known."""
    from tandem.targets.process import ProcessTarget

    table = {"process": ProcessTarget.open}
    url = settings.environment(environment).target
    scheme, colon, _ = url.partition(":")
    if not colon or scheme not in table:
        known = ", ".join(f"{name}:" for name in table)
        raise SettingsError(
            f"environments.{environment}.target: {url!r} is no target that is known; there are: {known}"
        )
    return table[scheme](settings, environment)
