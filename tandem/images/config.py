"""The config of an app image: how it is started, as what user, and which layers it has (image-spec, config.md)."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from tandem.image_config import ImageConfig
from tandem.images.base import Foundation
from tandem.images.inside import PATH
from tandem.records import Commit, Descriptor
from tandem.settings import ImageSettings
from tandem.templates import resolve

VENV = "/venv"
OF_THE_BASE = ("org.opencontainers.image.", "dev.tandem.")  # labels that say what the base is, not what this is


def app_config(
    base: Foundation, layers: Sequence[tuple[str, Descriptor]], commit: Commit, image: ImageSettings, model: str
) -> ImageConfig:
    """The config of the base's layers and these (what each holds, its descriptor: uncompressed).

    `model` is the path of the model's folder in the image. The base's environment, labels and volumes stay, its
    command, user, ports and health check do not. `created` is the commit's time.
    """
    created = commit.time.isoformat()
    history = [{"created": created, "created_by": "tandem assemble", "comment": holds} for holds, _ in layers]
    return replace(
        base.config,
        created=created,
        env=_environment(base, image, model),
        labels=_labels(base, image, model, commit),
        command=tuple(_resolved(word, image, model) for word in image.command),
        entrypoint=(),
        workdir=image.workdir,
        user=str(image.user),
        ports=(f"{image.port}/tcp",),
        stop_signal="SIGTERM",
        diff_ids=(*base.config.diff_ids, *(layer.digest for _, layer in layers)),
        history=(*base.config.history, *history),
        others={key: value for key, value in base.config.others.items() if key == "Volumes"},
    )


def _environment(base: Foundation, image: ImageSettings, model: str) -> dict[str, str]:
    inherited = base.config.env
    ours = {"PATH": f"{VENV}/bin:{inherited.get('PATH') or PATH}", "VIRTUAL_ENV": VENV, "PYTHONUNBUFFERED": "1"}
    asked = {name: _resolved(value, image, model) for name, value in image.env.items()}
    return dict(sorted({**inherited, **ours, **asked}.items()))


def _labels(base: Foundation, image: ImageSettings, model: str, commit: Commit) -> Mapping[str, str]:
    kept = {name: text for name, text in base.config.labels.items() if not name.startswith(OF_THE_BASE)}
    return {
        **kept,
        "org.opencontainers.image.created": commit.time.isoformat(),
        "org.opencontainers.image.revision": commit.id,
        "dev.tandem.base": base.label,
        "dev.tandem.command": json.dumps(list(image.command)),
        "dev.tandem.env": json.dumps(dict(image.env), sort_keys=True),
        "dev.tandem.model.path": model,
        "dev.tandem.port": str(image.port),
    }


def _resolved(text: str, image: ImageSettings, model: str) -> str:
    return resolve(text, model=model, port=image.port, listen=f"0.0.0.0:{image.port}")
