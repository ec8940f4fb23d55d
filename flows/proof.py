"""The facts that stay with a candidate: annotations of its image, evidence beside it, layers known from before it."""

from collections.abc import Mapping

from tandem.documents import canonical, dump
from tandem.images.carry import ModelLayers, remember
from tandem.images.packages import ANNOTATION as PACKAGES
from tandem.images.sbom import bill
from tandem.manifests import manifest_bytes
from tandem.records import Descriptor, Image, Pair
from tandem.registries import evidence
from tandem.seams import Registry
from tandem.settings import Settings
from tandem.source import SuiteReport
from tandem.targets.trial import Trial

from . import backends
from .ingredients import Ingredients

TRIAL = "application/vnd.tandem.trial.v1+json"


def annotations(settings: Settings, chosen: Ingredients) -> dict[str, str]:
    """What the image manifest says of itself: no clock, and nothing that differs from run to run."""
    return {
        "org.opencontainers.image.created": chosen.commit.time.isoformat(),
        "org.opencontainers.image.revision": chosen.commit.id,
        "org.opencontainers.image.title": settings.app,
        "org.opencontainers.image.version": chosen.pair.tag,
        "dev.tandem.app": settings.app,
        "dev.tandem.model.name": chosen.model.name,
        "dev.tandem.model.version": chosen.model.version,
        "dev.tandem.recipe": chosen.recipe,
    }


def variables(chosen: Ingredients) -> dict[str, str]:
    """What the app may say of itself, in variables of its container; those that it sets itself win."""
    return {"COMMIT": chosen.commit.id, "MODEL_NAME": chosen.model.name, "MODEL_VERSION": chosen.model.version}


def remembered(registry: Registry, pair: Pair) -> Mapping[str, Descriptor]:
    """What earlier candidates' layers hold: of one with the same model where there is one, else of a few others."""
    tags = [tag for tag in registry.tags() if tag.count("-") == 2]
    same = [tag for tag in tags if tag.split("-")[1] == pair.model[:12]]
    others = {tag.split("-")[1]: tag for tag in tags}
    images = [backends.image(registry, tag) for tag in (same[:1] or list(others.values())[-3:])]
    packages = {
        layer.annotations[PACKAGES]: layer
        for image in images
        for layer in image.manifest.layers
        if PACKAGES in layer.annotations
    }
    return {**remember([image.manifest for image in images]), **packages}


def attach(
    settings: Settings, chosen: Ingredients, image: Image, layers: ModelLayers, report: SuiteReport, trial: Trial
) -> None:
    """Attach what was found out about this image to its digest: tests, trial, lock, SBOM, what it was made of."""
    facts: dict[str, bytes] = {
        evidence.TESTS: dump(report),
        TRIAL: dump(trial),
        evidence.PROVENANCE: canonical(
            {
                "app": settings.app,
                "repository": settings.toml.source.repository,
                "commit": chosen.commit.id,
                "model": {
                    "store": settings.toml.model.store,
                    "name": chosen.model.name,
                    "version": chosen.model.version,
                    "metrics": dict(chosen.model.facts.metrics),
                    "learned": dict(layers.learned),
                },
                "recipe": chosen.recipe,
                "image": settings.toml.image.model_dump(mode="json", exclude={"credentials"}),
            }
        ),
    }
    facts[evidence.SBOM] = bill(settings.app, chosen.pair, image, layers, chosen.commit.time)
    if image.lock:
        facts[evidence.LOCK] = image.lock.encode()
    subject = Descriptor(image.manifest.media_type, image.digest, len(manifest_bytes(image.manifest)))
    for kind, content in facts.items():
        evidence.attach(image.registry, subject, kind, content)
