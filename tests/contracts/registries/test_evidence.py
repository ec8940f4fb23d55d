from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from tandem.errors import RegistryError
from tandem.manifests import blob_of, parse
from tandem.records import Image, ImageManifest
from tandem.registries.evidence import LOCK, TESTS, attach, find
from tandem.seams import Registry

Push = Callable[..., Image]


def test_evidence_is_found_by_the_images_digest_and_its_kind(registry: Registry, push: Push) -> None:
    image = push("a", tag="v1")
    subject = registry.resolve("v1")
    assert subject is not None
    attach(registry, subject, TESTS, {"passed": 7, "failed": 0})
    attach(registry, subject, LOCK, b"flask==3.1.0\n", {"org.opencontainers.image.title": "requirements.txt"})
    assert find(registry, image.digest, TESTS) == [b'{"failed":0,"passed":7}']
    assert find(registry, image.digest, LOCK) == [b"flask==3.1.0\n"]
    assert find(registry, push("b").digest, TESTS) == []
    assert registry.tags() == ["v1"]


def test_the_same_fact_attached_again_is_there_once(registry: Registry, push: Push) -> None:
    image = push("a", tag="v1")
    subject = registry.resolve("v1")
    assert subject is not None
    first = attach(registry, subject, TESTS, {"passed": 7, "failed": 0})
    assert attach(registry, subject, TESTS, {"failed": 0, "passed": 7}) == first
    assert len(find(registry, image.digest, TESTS)) == 1
    attach(registry, subject, TESTS, {"passed": 8})
    assert len(find(registry, image.digest, TESTS)) == 2


def test_two_runs_that_attach_the_same_facts_at_the_same_moment_both_succeed(registry: Registry, push: Push) -> None:
    """Two integrates of one pair; Debian's registry lost every seventh such pair before its answer was understood."""
    images = [push(f"both {number}") for number in range(12)]
    together = Barrier(2)

    def run() -> None:
        for image in images:
            subject = registry.resolve(image.digest)
            assert subject is not None
            together.wait(60)
            for kind in (TESTS, LOCK):
                attach(registry, subject, kind, f"{kind} is fine".encode())

    with ThreadPoolExecutor(2) as both:
        for done in [both.submit(run), both.submit(run)]:
            done.result()
    for image in images:
        assert [find(registry, image.digest, kind) for kind in (TESTS, LOCK)] == [
            [f"{kind} is fine".encode()] for kind in (TESTS, LOCK)
        ]


def test_evidence_can_be_attached_before_the_image_has_a_tag(registry: Registry, push: Push) -> None:
    image = push("a")
    subject = registry.resolve(image.digest)
    assert subject is not None
    attach(registry, subject, TESTS, {"passed": 7})
    assert push("a", tag="v1").digest == image.digest
    assert find(registry, image.digest, TESTS) == [b'{"passed":7}']


def test_evidence_says_what_it_is_to_any_oci_client(registry: Registry, push: Push) -> None:
    push("a", tag="v1")
    subject = registry.resolve("v1")
    assert subject is not None
    manifest = parse(registry.manifest(attach(registry, subject, TESTS, {"passed": 7}).digest), "evidence")
    assert isinstance(manifest, ImageManifest)
    assert manifest.subject == subject
    assert (manifest.artifact_type, manifest.config.media_type) == (TESTS, "application/vnd.oci.empty.v1+json")
    assert b"".join(registry.read(manifest.config.digest)) == b"{}"


def test_what_tandem_did_not_attach_is_named_and_not_believed(registry: Registry, push: Push) -> None:
    image = push("a", tag="v1")
    config = registry.write(blob_of(b"{}", "config.json"), "application/vnd.oci.empty.v1+json")
    stranger = registry.put(ImageManifest(config, (), subject=registry.resolve("v1"), artifact_type=TESTS))
    with pytest.raises(RegistryError, match=stranger.digest):
        find(registry, image.digest, TESTS)
