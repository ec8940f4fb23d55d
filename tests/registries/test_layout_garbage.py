import os
import time
from collections.abc import Callable

import pytest

from tandem.errors import RegistryError
from tandem.manifests import blob_of
from tandem.records import Image
from tandem.registries.layout import LayoutRegistry

Push = Callable[..., Image]
Blobs = Callable[[], set[bytes]]
Later = Callable[[float], None]
DAY = 24 * 3600.0


def test_what_a_deleted_image_shared_stays_and_the_rest_goes(
    registry: LayoutRegistry, push: Push, blobs: Blobs, later: Later
) -> None:
    doomed, stays = push("weights", "code 1", tag="v1"), push("weights", "code 2", tag="v2")
    push("tests", subject=registry.resolve("v1"))
    later(2 * DAY)
    registry.delete(doomed.digest)
    assert {b"weights", b"code 2"} <= blobs()
    assert blobs().isdisjoint({b"code 1", b"tests"})
    assert sum(map(len, registry.read(stays.manifest.layers[0].digest))) == len("weights")
    registry.delete(stays.digest)
    assert blobs() == set()


def test_blobs_of_a_writer_that_has_not_put_its_image_yet_stay(
    registry: LayoutRegistry, push: Push, blobs: Blobs
) -> None:
    doomed = push("a", tag="v1")
    registry.write(blob_of(b"on its way", "layer"), "application/x-layer")
    registry.delete(doomed.digest)
    assert b"on its way" in blobs()


def test_a_blob_that_a_writer_counts_on_is_not_collected(registry: LayoutRegistry, push: Push, blobs: Blobs) -> None:
    doomed = push("weights", tag="v1")
    layer = registry.folder.blob(doomed.manifest.layers[0].digest)
    os.utime(layer, (time.time() - 2 * DAY, time.time() - 2 * DAY))
    registry.write(blob_of(b"weights", "layer"), "application/x-layer")  # skipped: it is there
    registry.delete(doomed.digest)
    assert b"weights" in blobs()


def test_images_that_nobody_ever_tagged_are_forgotten_and_others_are_not(
    registry: LayoutRegistry, push: Push, later: Later
) -> None:
    app_image, moved = push("app image"), push("moved", tag="v1")
    push("new", tag="v1")
    subject = push("referred to")
    push("tests", subject=registry.resolve(subject.digest))
    registry.delete(push("a").digest)
    assert registry.resolve(app_image.digest) is not None
    later(2 * DAY)
    registry.delete(push("b").digest)
    assert registry.resolve(app_image.digest) is None
    assert registry.resolve(moved.digest) is not None
    assert registry.resolve(subject.digest) is not None


def test_a_damaged_image_stops_the_collection_and_is_named(
    registry: LayoutRegistry, push: Push, blobs: Blobs, later: Later
) -> None:
    damaged, doomed = push("weights", tag="v1"), push("a", tag="v2")
    content = registry.folder.blob(damaged.digest).read_bytes()
    registry.folder.blob(damaged.digest).write_bytes(content.replace(b"layers", b"laiers"))
    later(2 * DAY)
    with pytest.raises(RegistryError, match=damaged.digest):
        registry.delete(doomed.digest)
    assert b"weights" in blobs()
    registry.delete(damaged.digest)
    assert blobs() == set()
