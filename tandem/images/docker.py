"""The builder that runs the app's own Dockerfile, whatever it holds, by a Docker daemon, and pushes what comes out."""

import json
import re
from dataclasses import dataclass, replace
from typing import IO, cast

import docker
from docker.errors import APIError

from tandem.errors import BuildFailed, TandemError
from tandem.image_config import ImageConfig, config_bytes, config_of
from tandem.images import docker_buildkit
from tandem.images.context import context
from tandem.images.docker_daemon import Daemon, build_failure, log_in, reached
from tandem.images.docker_delivery import deliver
from tandem.images.docker_images import LABEL, keep_failed, local_name, tidy
from tandem.images.docker_log import Refused, follow
from tandem.images.docker_packages import installed
from tandem.images.dockerfile import Dockerfile, read
from tandem.manifests import CONFIG, as_oci, blob_of
from tandem.records import Commit, Image, ImageManifest, Source
from tandem.seams import Registry
from tandem.settings import ImageSettings
from tandem.templates import resolve


@dataclass(frozen=True)
class Docker:
    """The builder `docker`. `model` is the path of the model's folder in the image."""

    model: str
    daemon: Daemon

    def build(self, source: Source, image: ImageSettings, registry: Registry) -> Image:
        """The image of the commit's Dockerfile, in the registry without a tag.

        Raises BuildFailed with the line of the Dockerfile and the end of its output, SettingsError, RegistryError,
        Unreachable.
        """
        file = read(source, image.dockerfile)
        tag = f"build-{source.commit.id[:12]}"
        with reached(self.daemon) as client:
            folder = str(registry).startswith("oci:")
            login = None if folder else log_in(client, self.daemon, local_name(registry))
            if image.secrets or file.buildkit:
                name, labels = f"{local_name(registry)}:{tag}", {LABEL: str(registry)}
                built = docker_buildkit.build(self.daemon, source, image, file, name, labels)
            else:
                built = self._classic(client, source, image, file, registry, tag)
            try:
                _check(client, built, image)
                packages = installed(client, built, registry)
                delivered = deliver(client, self.daemon, built, registry, tag, image.platform, login)
            finally:
                tidy(client, built, registry, tag)
        finished = self._finished(delivered.image, source.commit, image)
        if delivered.temporary:
            self._forget(registry, delivered.image.digest, tag)
        return replace(finished, lock=packages)

    def _classic(
        self,
        client: docker.DockerClient,
        source: Source,
        image: ImageSettings,
        file: Dockerfile,
        registry: Registry,
        tag: str,
    ) -> str:
        """The image's id. The daemon's classic builder: the one that every daemon's API offers without a session."""
        try:
            messages = client.api.build(
                fileobj=cast(IO[bytes], context(source, file.path)),  # read as an iterable, and so streamed
                custom_context=True,
                dockerfile=file.path,
                tag=f"{local_name(registry)}:{tag}",
                labels={LABEL: str(registry)},
                platform=image.platform,
                rm=True,
                forcerm=True,
                timeout=client.api.timeout,
                decode=True,
            )
            aux = follow(messages, self.daemon.say, self.daemon.tell)
        except APIError as error:
            raise _failure(file, Refused(str(error.explanation or error))) from None
        except Refused as refused:
            keep_failed(client, refused.made, registry)
            raise _failure(file, refused) from None
        ids = [str(each["ID"]) for each in aux if "ID" in each]
        if not ids:
            raise BuildFailed(f"{file.path}: the daemon at {self.daemon} ended without an image: build again")
        return ids[-1]

    def _finished(self, built: Image, commit: Commit, image: ImageSettings) -> Image:
        """The same layers as an OCI image, which says of itself what Tandem needs; its times are the commit's."""
        config = config_of(built)
        if config.user in {"", "0", "root"} or config.user.startswith(("0:", "root:")):
            self.daemon.say("warning: the Dockerfile has no USER, so the app runs as root: many clusters refuse that")
        content = config_bytes(described(config, commit, image, self.model))
        annotations = {
            "org.opencontainers.image.created": commit.time.isoformat(),
            "org.opencontainers.image.revision": commit.id,
        }
        registry = built.registry
        manifest = ImageManifest(
            registry.write(blob_of(content, "config.json"), CONFIG),
            tuple(map(as_oci, built.manifest.layers)),
            annotations,
        )
        # Put, and not only at hand: what docker pushed is removed next, and ACR then removes layers that nothing needs.
        return Image(registry, registry.put(manifest).digest, manifest, config=content)

    def _forget(self, registry: Registry, digest: str, tag: str) -> None:
        """Remove what docker pushed; its layers stay with the image that was made of them."""
        try:
            registry.delete(digest)
        except TandemError as error:
            why = "harmless, and no candidate; a login that may delete, or the registry's own clean-up, removes it"
            self.daemon.say(f"the tag {tag} stays in {registry}: {why} ({error})")


def described(config: ImageConfig, commit: Commit, image: ImageSettings, model: str) -> ImageConfig:
    """The Dockerfile's config with [image].env and, where it names one, [image].command; and Tandem's labels."""

    def resolved(text: str) -> str:
        return resolve(text, model=model, port=image.port, listen=f"0.0.0.0:{image.port}")

    if image.command:
        config = replace(config, command=tuple(map(resolved, image.command)), entrypoint=())
    command = image.command or (*config.entrypoint, *config.command)
    created = commit.time.isoformat()
    return replace(
        config,
        created=created,
        env={**config.env, **{name: resolved(value) for name, value in image.env.items()}},
        ports=tuple(sorted({*config.ports, f"{image.port}/tcp"})),
        labels={
            **{name: text for name, text in config.labels.items() if name != LABEL},
            "org.opencontainers.image.created": created,
            "org.opencontainers.image.revision": commit.id,
            "dev.tandem.base": "dockerfile",
            "dev.tandem.command": json.dumps(list(command)),
            "dev.tandem.env": json.dumps(dict(image.env), sort_keys=True),
            "dev.tandem.model.path": model,
            "dev.tandem.port": str(image.port),
        },
    )


def _failure(file: Dockerfile, refused: Refused) -> TandemError:
    where = file.step(refused.step)
    if line := re.search(r"(?:parse error|on|at) line (\d+)", refused.text):
        where = file.at(int(line[1]))
    said = re.sub(r"(?s)^The command '.*' returned", "returned", refused.text)
    return build_failure(where, said, refused.tail)


def _check(client: docker.DockerClient, built: str, image: ImageSettings) -> None:
    made = client.images.get(built).attrs
    if (its := f"{made['Os']}/{made['Architecture']}") != image.platform:
        raise BuildFailed(f"{image.dockerfile} gives an image for {its}, [image] platform is {image.platform}")
