"""Publishing: atomic, idempotent, newest first."""

import hashlib
from datetime import timedelta

import pytest

from tandem.documents import canonical
from tandem.errors import ModelDamaged, ModelError, ModelNotFound, ModelRefused, SettingsError
from tandem.records import Blob, Facts

GOOD = Facts({"accuracy": 0.97}, {"trained on": "digits"})


def content(model):
    return {file.name: b"".join(file.open(0)) for file in model.files}


def test_what_is_published_comes_back_as_it_was(place, blob):
    published = place.store().publish("digits", [blob("b/w.bin", b"weights"), blob("a.txt", b"")], GOOD, by="ada")
    [model] = place.store().versions("digits")
    assert model == published
    assert content(model) == {"a.txt": b"", "b/w.bin": b"weights"}
    assert model.facts == GOOD
    assert model.by == "ada"
    assert [file.name for file in model.files] == ["a.txt", "b/w.bin"]
    assert model.files[1].sha256 == hashlib.sha256(b"weights").hexdigest()


def test_a_version_is_the_sha256_of_its_model_manifest(place, blob):
    model = place.store().publish("digits", [blob("w", b"weights")], GOOD)
    stored = place.objects().get(f"digits/{model.version}/manifest.json").value
    assert stored == canonical(
        {
            "files": [{"name": "w", "size": 7, "sha256": hashlib.sha256(b"weights").hexdigest()}],
            "metrics": {"accuracy": 0.97},
            "about": {"trained on": "digits"},
        }
    )
    assert hashlib.sha256(stored).hexdigest() == model.version


def test_versions_come_newest_first_in_publish_order_whatever_the_clock_says(place, blob):
    clock = iter([place.morning, place.morning - timedelta(days=2), place.morning - timedelta(days=1)])
    store = place.store(now=lambda: next(clock))
    published = [store.publish("digits", [blob("w", b"%d" % each)], Facts()).version for each in range(3)]
    assert [model.version for model in store.versions("digits")] == published[::-1]


def test_publishing_what_is_in_the_list_changes_nothing(place, blob):
    store = place.store()
    first = store.publish("digits", [blob("w", b"one")], GOOD, by="ada")
    store.publish("digits", [blob("w", b"two")], GOOD)
    before = {(entry.path, entry.tag) for entry in place.objects().list("digits/")}
    assert store.publish("digits", [blob("w", b"one")], GOOD, by="bob") == first
    assert {(entry.path, entry.tag) for entry in place.objects().list("digits/")} == before


def test_other_facts_make_another_version_of_the_same_files(place, blob):
    store = place.store()
    store.publish("digits", [blob("w", b"one")], Facts({"accuracy": 0.9}))
    store.publish("digits", [blob("w", b"one")], Facts({"accuracy": 0.8}))
    assert [model.facts.metrics for model in store.versions("digits")] == [{"accuracy": 0.8}, {"accuracy": 0.9}]


def test_nothing_is_there_before_the_first_publish(place):
    assert list(place.store().versions("digits")) == []
    with pytest.raises(ModelNotFound, match="0 versions; publish one with 'tandem publish"):
        place.store().model("digits", "0123456789")


def test_a_version_is_found_by_a_prefix_that_is_unique(place, blob):
    store = place.store()
    model = store.publish("digits", [blob("w", b"one")], Facts())
    assert store.model("digits", model.version[:8]) == model
    assert store.model("digits", model.version) == model
    with pytest.raises(ModelNotFound, match="8 digits of it at least"):
        store.model("digits", model.version[:7])


def test_a_prefix_of_several_versions_is_refused_with_their_names(place):
    versions = [f"01234567{digit}" + "0" * 55 for digit in "ab"]
    listed = [{"version": version, "published": "2030-01-01T00:00:00Z", "by": ""} for version in versions]
    place.put("digits/latest.json", canonical({"versions": listed}))
    with pytest.raises(ModelNotFound, match=f"{versions[0]}, {versions[1]}: give more of it"):
        place.store().model("digits", "01234567")


def test_models_of_one_store_do_not_see_each_other(place, blob):
    place.store().publish("digits", [blob("w", b"one")], Facts())
    assert list(place.store().versions("digits-large")) == []


def test_files_that_are_not_what_their_publisher_says_are_not_published(place, blob):
    with pytest.raises(ModelDamaged, match=r"weights\.bin: its SHA-256 is"):
        place.store().publish("digits", [blob("weights.bin", b"weights", sha256="0" * 64)], Facts())
    assert list(place.store().versions("digits")) == []
    assert not [entry for entry in place.objects().list("digits/") if "weights" in entry.path]


@pytest.mark.parametrize("size", [6, 8])
def test_a_file_that_is_longer_or_shorter_than_it_was_said_to_be_is_not_published(place, size):
    lying = Blob("w", size, None, lambda offset: iter([b"wei", b"", b"ghts"]))
    with pytest.raises(ModelDamaged, match=f"w: 7 bytes where {size} were promised"):
        place.store().publish("digits", [lying], Facts())


@pytest.mark.parametrize("name", ["", "..", "a/b", "-rf", "a b", "ä", "x" * 101, ".hidden"])
def test_a_hostile_model_name_is_refused(folder, blob, name):
    with pytest.raises(SettingsError, match=r"\[model\].name"):
        folder.store().publish(name, [blob("w", b"one")], Facts())


def test_a_metric_that_is_no_number_and_a_model_without_files_are_refused(folder, blob):
    with pytest.raises(ModelRefused, match="'loss' is nan"):
        folder.store().publish("digits", [blob("w", b"one")], Facts({"loss": float("nan")}))
    with pytest.raises(ModelRefused, match="without files"):
        folder.store().publish("digits", [], Facts())


def test_without_permission_the_error_says_so_and_nothing_is_there(place, blob):
    with place.forbidden(), pytest.raises(ModelError, match=r"no permission for .*: give"):
        place.store().publish("digits", [blob("w", b"one")], Facts())
    assert list(place.store().versions("digits")) == []
