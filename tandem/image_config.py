"""An image's config (image-spec, config.md): how it is started, and which layers it stands on."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tandem.documents import canonical
from tandem.errors import RegistryError
from tandem.manifests import LIMIT, check
from tandem.records import Image

_NAMED = {"Env", "Labels", "Cmd", "Entrypoint", "WorkingDir", "User", "ExposedPorts", "StopSignal"}


@dataclass(frozen=True)
class ImageConfig:
    """What an image's config says; `others` holds what Tandem has no opinion on, such as Healthcheck.

    `created` is RFC 3339, and so are the times in `history`; `diff_ids` are the layers' digests, unpacked.
    """

    architecture: str = "amd64"
    os: str = "linux"
    variant: str | None = None
    created: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    workdir: str = ""
    user: str = ""
    ports: tuple[str, ...] = ()  # "8000/tcp"
    stop_signal: str | None = None
    diff_ids: tuple[str, ...] = ()
    history: tuple[Mapping[str, object], ...] = ()
    others: Mapping[str, object] = field(default_factory=dict)


def config_bytes(config: ImageConfig) -> bytes:
    """The config's canonical JSON: equal configs give equal bytes."""
    execution: dict[str, object] = {
        **config.others,
        "Env": [f"{name}={value}" for name, value in config.env.items()],
        "Labels": dict(config.labels),
        "Cmd": list(config.command),
        "Entrypoint": list(config.entrypoint),
        "WorkingDir": config.workdir,
        "User": config.user,
        "ExposedPorts": {port: {} for port in config.ports},
        "StopSignal": config.stop_signal,
    }
    document: dict[str, object] = {
        "architecture": config.architecture,
        "os": config.os,
        "config": {key: value for key, value in execution.items() if value},
        "rootfs": {"type": "layers", "diff_ids": list(config.diff_ids)},
        "history": [dict(entry) for entry in config.history],
    }
    optional = {"variant": config.variant, "created": config.created}
    return canonical(document | {key: value for key, value in optional.items() if value})


def parse_config(content: bytes, what: object) -> ImageConfig:
    """The config of its bytes; RegistryError, naming `what`, where they are none."""
    try:
        document = json.loads(content)
        execution: dict[str, Any] = document.get("config") or {}
        pairs = (variable.partition("=") for variable in execution.get("Env") or ())
        return ImageConfig(
            architecture=document["architecture"],
            os=document["os"],
            variant=document.get("variant"),
            created=document.get("created"),
            env={name: value for name, _, value in pairs},
            labels=execution.get("Labels") or {},
            command=tuple(execution.get("Cmd") or ()),
            entrypoint=tuple(execution.get("Entrypoint") or ()),
            workdir=execution.get("WorkingDir") or "",
            user=execution.get("User") or "",
            ports=tuple(sorted(execution.get("ExposedPorts") or ())),
            stop_signal=execution.get("StopSignal"),
            diff_ids=tuple(document["rootfs"]["diff_ids"]),
            history=tuple(document.get("history") or ()),
            others={key: value for key, value in execution.items() if key not in _NAMED},
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RegistryError(f"{what}: no image config: {error!r}: push the image again") from None


def config_of(image: Image) -> ImageConfig:
    """The config of an image: as it is at hand, or in its registry, checked. Raises RegistryError, Unreachable."""
    descriptor = image.manifest.config
    if descriptor.size > LIMIT:
        raise RegistryError(f"{image}: its config has {descriptor.size} bytes, {LIMIT} are allowed")
    content = image.config or b"".join(image.registry.read(descriptor.digest))
    return parse_config(check(content, descriptor.digest, image), image)
