"""`newest = "modified"`: folders that people fill by hand."""

import pytest

from tandem.errors import ModelDamaged, ModelNotFound, UsageError
from tandem.models import meets
from tandem.records import Facts


def names(place, pattern):
    return [[file.name for file in model.files] for model in place.store("modified").versions(pattern)]


def content(model):
    return {file.name: b"".join(file.open(0)) for file in model.files}


def test_each_folder_that_matches_is_a_version_and_the_last_change_is_newest(place):
    for age, folder in enumerate(["digits-a", "digits-c", "digits-b", "letters-a"]):
        place.put(f"{folder}/model.onnx", folder.encode())
        place.age(f"{folder}/model.onnx", 100 - age)
    versions = list(place.store("modified").versions("digits-*"))
    assert [content(model) for model in versions] == [
        {"model.onnx": each} for each in (b"digits-b", b"digits-c", b"digits-a")
    ]
    assert versions == sorted(versions, key=lambda model: model.published, reverse=True)
    assert versions[0].files[0].sha256 is None


def test_one_late_file_makes_its_folder_the_newest(place):
    for age, path in [(9, "d-a/w"), (8, "d-b/w"), (7, "d-a/labels.json")]:
        place.put(path, b"{}")
        place.age(path, age)
    assert names(place, "d-*") == [["labels.json", "w"], ["w"]]


def test_ties_go_by_name(place):
    for folder in ("d-b", "d-a", "d-c"):
        place.put(f"{folder}/{folder}", b"x")
        place.age(f"{folder}/{folder}", 10)
    assert names(place, "d-*") == [["d-c"], ["d-b"], ["d-a"]]


def test_a_plain_folder_is_the_one_version_with_all_below_it(place):
    place.put("digits/model.onnx", b"net")
    place.put("digits/data/weights", b"w")
    place.put("digits-old/model.onnx", b"old")
    [model] = place.store("modified").versions("digits")
    assert content(model) == {"data/weights": b"w", "model.onnx": b"net"}


def test_single_files_and_deeper_folders_match_too(place):
    place.put("digits-1.onnx", b"one")
    place.put("runs/7/model.onnx", b"seven")
    assert names(place, "digits-*.onnx") == [["digits-1.onnx"]]
    assert names(place, "runs/*") == [["model.onnx"]]


def test_hidden_files_are_none_of_the_model(place):
    place.put("digits/model.onnx", b"net")
    place.put("digits/.DS_Store", b"junk")
    assert names(place, "digits") == [["model.onnx"]]


def test_a_version_is_found_by_its_id_until_somebody_changes_it(place):
    store = place.store("modified")
    place.put("digits/model.onnx", b"net")
    place.age("digits/model.onnx", 10)
    [model] = store.versions("digits")
    assert store.model("digits", model.version[:12]) == model
    place.put("digits/model.onnx", b"new")
    with pytest.raises(ModelNotFound):
        store.model("digits", model.version)


def test_a_file_that_was_changed_since_it_was_chosen_is_refused_by_name(place):
    place.put("digits/model.onnx", b"net")
    place.age("digits/model.onnx", 10)
    [model] = place.store("modified").versions("digits")
    place.put("digits/model.onnx", b"new")
    with pytest.raises(ModelDamaged, match=r"digits/model\.onnx"):
        list(model.files[0].open(0))


def test_metrics_json_is_what_require_asks(place):
    place.put("d-1/metrics.json", b'{"accuracy": 0.97}')
    place.put("d-2/metrics.json", b'{"accuracy": "good"}')
    place.age("d-2/metrics.json", 10)
    good, broken = place.store("modified").versions("d-*")
    assert good.facts == Facts({"accuracy": 0.97})
    assert meets(good, ["accuracy >= 0.95"]) == []
    [reason] = meets(broken, ["accuracy >= 0.95"])
    assert "metrics.json: 'accuracy' is 'good'" in reason


def test_nothing_can_be_published_where_people_fill_by_hand(place, blob):
    with pytest.raises(UsageError, match=r'needs .*newest = "published"'):
        place.store("modified").publish("digits", [blob("w", b"one")], Facts())


@pytest.mark.parametrize("pattern", ["../digits", "/etc/*", "", ".", "a//b", "a\\b", ".ssh/*"])
def test_a_pattern_cannot_leave_the_store(folder, pattern):
    with pytest.raises(UsageError, match=r"\[model\].name"):
        list(folder.store("modified").versions(pattern))
