"""Where an image is tried: in Docker where an engine answers that can pull it, else as a process of this machine.

In a cluster (TANDEM_TRIALS names a namespace of it, as deployments/server does) as a pod.
"""

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from prefect import get_run_logger

from tandem.errors import ReleaseFailed, SettingsError, Unreachable
from tandem.records import Image
from tandem.settings import Settings
from tandem.targets.trial import Trial, try_image

from . import backends

if TYPE_CHECKING:  # docker and prefect-docker take long to import, and most apps on one machine need neither
    from .engine import Engine


def try_somewhere(settings: Settings, image: Image) -> Trial:
    """The image, by its digest, tried where it can be; the log and the trial say where and why.

    Raises ImageFailed, RegistryError, Unreachable, SettingsError, or ReleaseFailed where it can be tried nowhere.
    """
    if namespace := trials(settings):
        return _as_pod(settings, image, namespace)
    engine, why = place(settings)
    get_run_logger().info("tried in %s: %s", f"docker {engine.version}" if engine else "a process of this machine", why)
    folder, wish = backends.scratch(settings, "trials"), settings.toml
    if engine is None:
        try:
            trial = try_image(image, wish.verify, folder, settings.home / "cache")
        except ReleaseFailed as failure:
            if wish.image.bare:
                raise
            raise ReleaseFailed(f"{failure.reason} (not tried in Docker: {why})", failure.fault, failure.log) from None
    else:
        from .container import Wish, memory, try_in_docker
        from .engine import remote

        asked = Wish(wish.verify, wish.image.port, wish.image.dockerfile, memory(image))
        trial = try_in_docker(engine, remote(settings, image.digest), asked, folder)
    return replace(trial, why=why)


def trials(settings: Settings) -> str:
    """The namespace of this cluster in which images are tried as pods; "" where it is somewhere else."""
    elsewhere = settings.toml.image.bare or settings.toml.image.engine is not None
    return "" if elsewhere else os.environ.get("TANDEM_TRIALS", "")


def _as_pod(settings: Settings, image: Image, namespace: str) -> Trial:
    from tandem.targets.kubernetes.connect import connect
    from tandem.targets.kubernetes.trial import Wish, try_as_pod

    from .container import memory

    why = f"TANDEM_TRIALS names namespace {namespace}"
    get_run_logger().info("tried as a pod: %s", why)
    wish = Wish(settings.toml.verify, settings.toml.image.port, memory(image))
    return replace(try_as_pod(connect(f"kubernetes://in-cluster/{namespace}"), image, wish), why=why)


def place(settings: Settings) -> "tuple[Engine | None, str]":
    """The engine to try in, or None for a process of this machine; and why.

    Raises SettingsError or Unreachable where [image].engine names one that cannot be used.
    """
    image = settings.toml.image
    if image.bare:
        return None, 'base = "none": the interpreter is this machine\'s'
    try:
        return _engine(settings), f"[image] engine = {image.engine!r}" if image.engine else "a Docker engine answers"
    except (SettingsError, Unreachable) as error:
        if image.engine is not None:
            raise
        return None, str(error)


def needed(settings: Settings) -> "Engine":
    """The engine that [test] where = "image" needs; raises SettingsError or Unreachable where there is none."""
    asked, instead = '[test] where = "image"', 'or say where = "here"'
    if settings.toml.image.bare:
        raise SettingsError(f'{asked}: with [image] base = "none" there is no system to run in: name a base, {instead}')
    try:
        return _engine(settings)
    except SettingsError as error:
        raise SettingsError(f"{asked}: {error}; {instead}") from None
    except Unreachable as error:
        raise Unreachable(f"{asked}: {error}; {instead}") from None


def _engine(settings: Settings) -> "Engine":
    from .engine import address, answering, docker_host, docker_name, elsewhere

    docker_name(settings.toml.image.registry)
    host = docker_host(settings)
    if elsewhere(host):
        where = f"the Docker engine at {address(host)} is another machine's"
        raise SettingsError(f"{where}, and what it publishes is not reached from here")
    return answering(host)
