"""A bill of materials, in CycloneDX 1.6: Python packages, the base, and the model's files with their hashes."""

import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tandem.image_config import config_of
from tandem.images.carry import ModelLayers
from tandem.records import Image, Pair


def bill(app: str, pair: Pair, image: Image, carried: ModelLayers, created: datetime) -> bytes:
    """The image's SBOM as JSON; the same for the same image, since nothing in it comes from a clock or a die.

    `created` is the commit's time. Raises RegistryError, Unreachable where the image's config cannot be read.
    """
    whole = Component(name=app, version=pair.tag, type=ComponentType.CONTAINER, bom_ref=image.digest)
    whole.hashes = [_sha256(image.digest.removeprefix("sha256:"))]
    bom = Bom(
        serial_number=uuid.uuid5(uuid.NAMESPACE_URL, image.digest),
        metadata=BomMetaData(timestamp=created.astimezone(UTC), component=whole),
        components=[*_packages(image.lock), *_base(image), _model(carried)],
    )
    bom.register_dependency(whole, bom.components)
    return JsonV1Dot6(bom).output_as_string(indent=1).encode()


def _packages(lock: str) -> Iterator[Component]:
    for line in lock.replace("\\\n", "").splitlines():
        pin, *hashes = line.split(" --hash=")
        if not pin.strip() or pin.startswith("#"):
            continue
        requirement = Requirement(pin.strip())
        name = canonicalize_name(requirement.name)
        version = next((each.version for each in requirement.specifier), None)
        url = {"download_url": requirement.url} if requirement.url else None
        yield Component(
            name=name,
            version=version,
            purl=PackageURL("pypi", name=name, version=version, qualifiers=url),
            bom_ref=f"pypi:{name}",
            hashes=[_sha256(hashes[0].strip().removeprefix("sha256:"))] if len(hashes) == 1 else None,
            # A lock for several platforms names several wheels: one of them is in the image.
            properties=_properties("dev.tandem.wheel.sha256", hashes if len(hashes) > 1 else ()),
        )


def _base(image: Image) -> Iterator[Component]:
    base = config_of(image).labels.get("dev.tandem.base", "")
    if base.startswith("sha256:"):
        yield Component(
            name="base image",
            type=ComponentType.CONTAINER,
            bom_ref=f"base:{base}",
            hashes=[_sha256(base.removeprefix("sha256:"))],
        )


def _model(carried: ModelLayers) -> Component:
    model = carried.model
    files = [(file.name, file.size, file.sha256 or carried.learned.get(file.name)) for file in model.files]
    return Component(
        name=model.name,
        version=model.version,
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref=f"model:{model.version}",
        properties=[
            *(Property(name=f"metric:{name}", value=f"{value:g}") for name, value in model.facts.metrics.items()),
            *(Property(name=f"about:{name}", value=text) for name, text in model.facts.about.items()),
        ],
        components=[
            Component(
                name=f"{carried.path.rstrip('/')}/{name}",
                type=ComponentType.FILE,
                bom_ref=f"file:{name}",
                hashes=[_sha256(sha256)] if sha256 else None,
                properties=[Property(name="size", value=str(size))],
            )
            for name, size, sha256 in files
        ],
    )


def _properties(name: str, values: Iterable[str]) -> list[Property]:
    return [Property(name=name, value=value.strip().removeprefix("sha256:")) for value in values]


def _sha256(digest: str) -> HashType:
    return HashType(alg=HashAlgorithm.SHA_256, content=digest)
