"""Reading models back: from anywhere, damaged ones refused, large ones in constant memory."""

import hashlib
import tracemalloc

import pytest

from tandem.documents import canonical
from tandem.errors import ModelDamaged, ModelRefused
from tandem.images.carry import carry_layers
from tandem.models.kept import on_disk
from tandem.models.store import PublishedStore
from tandem.records import Blob, Facts
from tandem.registries import open_registry


@pytest.mark.parametrize("offset", [0, 1, 65_536, 299_999, 300_000])
def test_a_file_is_read_from_any_offset(place, blob, offset):
    content = bytes(range(256)) * 1171 + bytes(224)
    model = place.store().publish("digits", [blob("w", content)], Facts())
    assert len(content) == 300_000
    assert b"".join(model.files[0].open(offset)) == content[offset:]


@pytest.mark.parametrize("damage", [b"weigh", b"weights and more", b""])
def test_damaged_bytes_never_come_to_an_end(place, blob, damage):
    model = place.store().publish("digits", [blob("w", b"weights")], Facts())
    place.put(f"digits/{model.version}/files/w", damage)
    with pytest.raises(ModelDamaged, match=f"{model.version}/files/w .*delete it there and publish"):
        list(place.store().model("digits", model.version).files[0].open(0))


def test_damage_that_only_the_hash_shows_is_found_by_who_takes_the_bytes(place, blob, tmp_path):
    model = place.store().publish("digits", [blob("w", b"weights")], Facts())
    place.put(f"digits/{model.version}/files/w", b"weightz")
    model = place.store().model("digits", model.version)
    with pytest.raises(ModelDamaged, match=f"digits {model.version[:12]}: w .*SHA-256"):
        on_disk(model, tmp_path / "cache")
    with pytest.raises(ModelDamaged, match=f"digits {model.version[:12]}: w .*SHA-256"):
        carry_layers(model, "/model", open_registry("oci:registry", tmp_path), {})


def test_a_file_that_is_gone_is_put_back_by_publishing_again(place, blob):
    model = place.store().publish("digits", [blob("w", b"weights")], Facts())
    place.remove(f"digits/{model.version}/files/w")
    with pytest.raises(ModelDamaged, match="is gone"):
        list(model.files[0].open(0))
    again = place.store().publish("digits", [blob("w", b"weights")], Facts())
    assert b"".join(again.files[0].open(0)) == b"weights"
    assert len(list(place.store().versions("digits"))) == 1


def test_a_changed_model_manifest_is_refused(place, blob):
    model = place.store().publish("digits", [blob("w", b"weights")], Facts({"accuracy": 0.5}))
    path = f"digits/{model.version}/manifest.json"
    place.put(path, place.objects().get(path).value.replace(b"0.5", b"0.9"))
    with pytest.raises(ModelDamaged, match=r"manifest\.json does not hash to its version"):
        next(place.store().versions("digits"))


@pytest.mark.parametrize("hostile", ["../../w", "/etc/passwd", "a/.wh.b", "a\\b", "a\0b", "", "a//b", "a/./b"])
def test_a_hostile_model_manifest_is_refused_when_it_is_read(folder, hostile):
    manifest = canonical({"files": [{"name": hostile, "size": 1, "sha256": "0" * 64}], "metrics": {}, "about": {}})
    version = hashlib.sha256(manifest).hexdigest()
    folder.put(f"digits/{version}/manifest.json", manifest)
    listed = [{"version": version, "published": "2030-01-01T00:00:00Z", "by": ""}]
    folder.put("digits/latest.json", canonical({"versions": listed}))
    with pytest.raises(ModelRefused, match="rename it"):
        folder.store().model("digits", version)


def test_a_pointer_that_is_none_is_refused(place):
    place.put("digits/latest.json", b"<html>")
    with pytest.raises(ModelDamaged, match=r"latest\.json is no list of versions"):
        list(place.store().versions("digits"))


def test_the_first_of_many_versions_costs_one_model_manifest(place, blob):
    class Counting:
        def __init__(self, objects):
            self.objects, self.got = objects, []

        def get(self, path):
            self.got.append(path)
            return self.objects.get(path)

    for each in range(4):
        place.store().publish("digits", [blob("w", b"%d" % each)], Facts())
    counting = Counting(place.objects())
    newest = next(PublishedStore(counting, lambda: place.morning).versions("digits"))
    assert counting.got == ["digits/latest.json", f"digits/{newest.version}/manifest.json"]


def test_a_large_file_passes_in_constant_memory(place):
    size, piece = 64 << 20, bytes(1 << 20)
    large = Blob("w", size, None, lambda offset: (piece for _ in range((size - offset) >> 20)))
    tracemalloc.start()
    try:
        model = place.store().publish("digits", [large], Facts())
        assert sum(map(len, model.files[0].open(0))) == size
        assert tracemalloc.get_traced_memory()[1] < 40 << 20
    finally:
        tracemalloc.stop()
