"""What runs images: one table by URL scheme, one file a target."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tandem.errors import SettingsError

if TYPE_CHECKING:  # the holder comes through here, and must start in no time
    from tandem.seams import Target
    from tandem.settings import Settings
    from tandem.targets.docker import Engine
    from tandem.targets.kubernetes.objects import File


@dataclass(frozen=True)
class Given:
    """What a flow hands to a target that needs it.

    The Docker engine; the app's Kubernetes YAML at a commit; the registry's user and password, where app.toml has them.
    """

    engine: Callable[[], Engine] | None = None
    files: Callable[[str], Sequence[File]] | None = None
    account: Callable[[], tuple[str, str] | None] | None = None


def _process(settings: Settings, environment: str, given: Given) -> Target:
    from tandem.targets.process import ProcessTarget

    return ProcessTarget.open(settings, environment)


def _docker(settings: Settings, environment: str, given: Given) -> Target:
    from tandem.targets.docker import DockerTarget

    def none() -> Engine:  # what only looks at an environment, or ends it, needs none
        raise SettingsError(f"environments.{environment}.target: no Docker engine was given")

    return DockerTarget.at(settings, environment, given.engine or none)


def _kubernetes(settings: Settings, environment: str, given: Given) -> Target:
    from tandem.targets.kubernetes.connect import connect
    from tandem.targets.kubernetes.target import KubernetesTarget
    from tandem.targets.kubernetes.wishes import wishes

    files, wish = given.files or (lambda commit: ()), wishes(settings, environment, given.account)
    return KubernetesTarget.at(connect(settings.environment(environment).target), settings, environment, files, wish)


def _aks(settings: Settings, environment: str, given: Given) -> Target:
    from tandem.targets.kubernetes.aks import open_aks
    from tandem.targets.kubernetes.target import KubernetesTarget
    from tandem.targets.kubernetes.wishes import wishes

    aks, files = open_aks(settings.environment(environment).target), given.files or (lambda commit: ())
    wish = wishes(settings, environment, given.account, aks.names, aks.location)
    return KubernetesTarget.at(aks.connect(), settings, environment, files, wish)


TARGETS = {"process": _process, "docker": _docker, "kubernetes": _kubernetes, "aks": _aks}


def open_target(settings: Settings, environment: str, given: Given | None = None) -> Target:
    """The target of an app's environment; SettingsError where app.toml names none that is known."""
    url = settings.environment(environment).target
    scheme, colon, _ = url.partition(":")
    if not colon or scheme not in TARGETS:
        known = ", ".join(f"{name}:" for name in TARGETS)
        raise SettingsError(
            f"environments.{environment}.target: {url!r} is no target that is known; there are: {known}"
        )
    return TARGETS[scheme](settings, environment, given or Given())
