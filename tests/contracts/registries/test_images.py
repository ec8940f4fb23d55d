import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from tandem.errors import NotInRegistry, RegistryError
from tandem.manifests import digest_of, image_of, manifest_bytes
from tandem.records import Image
from tandem.seams import Registry

Push = Callable[..., Image]
ABSENT = f"sha256:{'1' * 64}"


def test_an_image_is_found_by_tag_and_by_digest(registry: Registry, push: Push) -> None:
    image = push("a", tag="v1", annotations={"dev.tandem.app": "digits"})
    found = registry.resolve("v1")
    assert found is not None
    assert found.digest == image.digest == digest_of(registry.manifest(image.digest))
    assert registry.resolve(image.digest) == found
    assert image_of(registry, "v1") == image
    assert json.loads(registry.manifest(image.digest))["annotations"] == {"dev.tandem.app": "digits"}


def test_an_empty_registry_has_nothing_and_says_so(registry: Registry) -> None:
    assert registry.tags() == []
    assert registry.resolve("v1") is None
    assert registry.resolve(ABSENT) is None
    assert registry.referrers(ABSENT, "application/x") == []
    registry.delete(ABSENT)
    with pytest.raises(NotInRegistry, match=ABSENT):
        registry.manifest(ABSENT)


def test_an_image_without_a_tag_is_found_by_digest_alone(registry: Registry, push: Push) -> None:
    image = push("a")
    assert registry.tags() == []
    assert registry.resolve(image.digest) is not None


def test_an_image_can_have_several_tags_and_be_put_again(registry: Registry, push: Push) -> None:
    images = {push("a").digest, push("a", tag="v1").digest, push("a", tag="v2").digest, push("a", tag="v1").digest}
    assert len(images) == 1
    assert sorted(registry.tags()) == ["v1", "v2"]


def test_a_tag_moves_and_the_old_image_stays(registry: Registry, push: Push) -> None:
    old, new = push("a", tag="v1"), push("b", tag="v1")
    found = registry.resolve("v1")
    assert found is not None and found.digest == new.digest
    assert registry.tags() == ["v1"]
    assert registry.resolve(old.digest) is not None


def test_an_image_whose_blob_is_missing_is_refused_and_the_blob_is_named(registry: Registry, push: Push) -> None:
    manifest = push("a").manifest
    absent = replace(manifest.layers[0], digest=ABSENT)
    for broken in (replace(manifest, layers=(absent,)), replace(manifest, config=absent)):
        with pytest.raises(RegistryError, match=ABSENT):
            registry.put(broken, "broken")
        assert registry.resolve(digest_of(manifest_bytes(broken))) is None
    assert registry.tags() == []


def test_a_tag_that_cannot_be_one_is_refused(registry: Registry, push: Push) -> None:
    for tag in ("a/b", "../x", "-x", "", "x" * 129, ABSENT):
        with pytest.raises(RegistryError):
            push("a", tag=tag)


def test_referrers_are_found_by_their_artifact_type(registry: Registry, push: Push) -> None:
    image = push("a", tag="v1")
    subject = registry.resolve("v1")
    tests = push("tests", subject=subject, kind="application/x-tests", annotations={"passed": "7"})
    push("lock", subject=subject, kind="application/x-lock")
    found = registry.referrers(image.digest, "application/x-tests")
    assert [(each.digest, each.annotations["passed"]) for each in found] == [(tests.digest, "7")]
    assert registry.tags() == ["v1"]


def test_deleting_an_image_takes_its_tags_and_referrers_and_nobody_elses(registry: Registry, push: Push) -> None:
    doomed, stays = push("a", tag="v1"), push("b", tag="v2")
    push("a", tag="latest")
    for image in (doomed, stays):
        push(f"tests of {image.digest}", subject=registry.resolve(image.digest), kind="application/x-tests")
    registry.delete(doomed.digest)
    registry.delete(doomed.digest)
    assert registry.tags() == ["v2"]
    assert registry.resolve(doomed.digest) is None
    assert registry.referrers(doomed.digest, "application/x-tests") == []
    assert len(registry.referrers(stays.digest, "application/x-tests")) == 1
    assert b"".join(registry.read(stays.manifest.layers[0].digest)) == b"b"
