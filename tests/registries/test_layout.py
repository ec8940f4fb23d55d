import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tandem.errors import DigestMismatch, RegistryError, SettingsError
from tandem.manifests import blob_of
from tandem.records import Image
from tandem.registries import open_registry
from tandem.registries.layout import LayoutRegistry

Push = Callable[..., Image]


def test_a_registry_goes_by_its_url_and_starts_at_the_root(tmp_path: Path) -> None:
    registry = open_registry("oci:.tandem/registry/digits", tmp_path)
    assert str(registry) == "oci:.tandem/registry/digits"
    registry.write(blob_of(b"x", "x"), "text/plain")
    assert (tmp_path / ".tandem/registry/digits/oci-layout").exists()


@pytest.mark.parametrize("url", ["oci:", "", "folder", "ftp://x"])
def test_a_url_that_nobody_knows_is_a_mistake_in_the_settings(url: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"image\.registry"):
        open_registry(url, tmp_path)


def test_reading_makes_no_folder(registry: LayoutRegistry) -> None:
    assert registry.tags() == []
    assert registry.resolve("v1") is None
    assert not registry.folder.path.exists()


def test_a_folder_that_holds_something_else_is_left_alone(registry: LayoutRegistry) -> None:
    registry.folder.path.mkdir()
    (registry.folder.path / "thesis.tex").touch()
    with pytest.raises(RegistryError, match=r"thesis\.tex"):
        registry.write(blob_of(b"x", "x"), "text/plain")
    assert [file.name for file in registry.folder.path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"manifests": 3}', b'{"manifests": [{"digest": "sha256:x"}]}'])
def test_a_damaged_index_is_named_and_never_overwritten(registry: LayoutRegistry, push: Push, damage: bytes) -> None:
    push("a", tag="v1")
    index = registry.folder.path / "index.json"
    index.write_bytes(damage)
    for attempt in (registry.tags, lambda: registry.resolve("v1"), lambda: push("b", tag="v2")):
        with pytest.raises(RegistryError, match=r"index\.json"):
            attempt()
    assert index.read_bytes() == damage


def test_a_missing_index_is_damage_too(registry: LayoutRegistry, push: Push) -> None:
    push("a", tag="v1")
    (registry.folder.path / "index.json").unlink()
    with pytest.raises(RegistryError, match=r"index\.json"):
        registry.tags()


def test_a_blob_damaged_on_the_disk_is_found_when_it_is_read(registry: LayoutRegistry, push: Push) -> None:
    image = push("weights", tag="v1")
    registry.folder.blob(image.manifest.layers[0].digest).write_bytes(b"weightz")
    registry.folder.blob(image.digest).write_bytes(b"{}")
    with pytest.raises(DigestMismatch, match="damaged"):
        list(registry.read(image.manifest.layers[0].digest))
    with pytest.raises(DigestMismatch):
        registry.manifest(image.digest)


def test_a_cut_blob_is_written_anew(registry: LayoutRegistry, push: Push) -> None:
    layer = push("weights").manifest.layers[0]
    registry.folder.blob(layer.digest).write_bytes(b"wei")
    with pytest.raises(RegistryError, match="3 bytes are there"):
        registry.put(push("other").manifest.__class__(layer, (layer,)))
    push("weights")
    assert b"".join(registry.read(layer.digest)) == b"weights"


def test_referrers_that_another_program_listed_are_found(registry: LayoutRegistry, push: Push) -> None:
    image = push("a", tag="v1")
    tests = push("tests", subject=registry.resolve("v1"))
    index = registry.folder.path / "index.json"
    document = json.loads(index.read_bytes())
    for entry in document["manifests"]:
        if entry["digest"] == tests.digest:
            del entry["annotations"]
    index.write_text(json.dumps(document))
    assert [each.digest for each in registry.referrers(image.digest, "application/x-kind")] == [tests.digest]


def test_an_index_of_several_platforms_leads_to_their_images(registry: LayoutRegistry, push: Push) -> None:
    image = push("a", tag="v1")
    index = registry.folder.path / "index.json"
    listed = registry.write(blob_of(index.read_bytes(), "index"), "application/vnd.oci.image.index.v1+json")
    entry = {"mediaType": listed.media_type, "digest": listed.digest, "size": listed.size}
    index.write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    assert registry.resolve(image.digest) is not None
    assert json.loads(registry.manifest(listed.digest))["manifests"][0]["digest"] == image.digest
