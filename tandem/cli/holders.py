"""Ending and starting again what process: and docker: environments run."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tandem.errors import TandemError
from tandem.settings import Settings
from tandem.targets import open_target
from tandem.targets.process import ProcessTarget

Say = Callable[[str], None]


def end_all(root: Path, apps: Sequence[str], say: Say) -> None:
    """End the app and its holder in every environment whose target is this machine."""
    for name, target in _targets([Settings.load(app, root) for app in apps]):
        target.stop()
        say(f"{name}: ended")


def resume_all(everything: Sequence[Settings], say: Say) -> None:
    """Start again, after a reboot or a stop, what ran; nothing where it still runs, or nothing ever did."""
    for name, target in _targets(everything):
        try:
            for progress in target.resume():
                say(f"{name}: {progress.message}")
        except TandemError as error:  # one broken app must not keep the server from starting
            say(f"{name}: not started again: {error}")


def _targets(everything: Sequence[Settings]) -> Iterator[tuple[str, ProcessTarget]]:
    for settings in everything:
        for name in settings.toml.environments:
            target = open_target(settings, name)
            if isinstance(target, ProcessTarget):
                yield f"{settings.app} in {name}", target
