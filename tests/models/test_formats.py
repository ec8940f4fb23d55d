"""Which files may ride, and how a refusal arrives."""

import pytest

from tandem.errors import ModelRefused
from tandem.models import checked
from tandem.records import Blob, Facts, Model


def test_a_format_that_is_not_allowed_is_refused_at_once_with_the_key_to_change(ride):
    with pytest.raises(ModelRefused, match=r"w\.pkl: .*json, onnx, safetensors, txt.*name 'pkl' in \[model\].formats"):
        ride("w.pkl", b"x")


def test_a_file_without_a_suffix_is_refused(ride):
    with pytest.raises(ModelRefused, match="LICENSE: its format"):
        ride("LICENSE", b"MIT")


@pytest.mark.parametrize("named", ["pkl", ".pkl", "PKL"])
def test_a_format_allowed_by_name_rides_unseen(ride, named):
    ride("w.pkl", b"cos\nsystem\n(S'true'\ntR.", formats=("onnx", named))


def test_a_suffix_may_be_in_capitals(ride, network):
    ride("MODEL.ONNX", network().SerializeToString())


@pytest.mark.parametrize("wrong", ["more than there should be", "less"])
def test_a_refusal_comes_before_the_end(network, wrong):
    whole = network().SerializeToString()
    content = whole + b"\xa0\x06\x01" if wrong.startswith("more") else whole[:-1]
    pieces = [content[at : at + 50] for at in range(0, len(content), 50)]
    blob = Blob("model.onnx", len(content), None, lambda offset: iter(pieces))
    [guarded] = checked(Model("m", "v", (blob,), Facts()), ["onnx"]).files
    came = []
    with pytest.raises(ModelRefused):
        came.extend(guarded.open(0))
    assert len(b"".join(came)) < len(content)


def test_a_guarded_file_is_read_from_any_offset(network):
    content = network(bytes(range(200))).SerializeToString()
    blob = Blob("m.onnx", len(content), None, lambda offset: (content[at : at + 7] for at in range(offset, 999, 7)))
    [guarded] = checked(Model("m", "v", (blob,), Facts()), ["onnx"]).files
    for offset in range(len(content) + 1):
        assert b"".join(guarded.open(offset)) == content[offset:]


@pytest.mark.parametrize("location", ["weights.bin", "data/weights", "w.data"])
def test_external_weights_ride_under_any_suffix_where_an_onnx_file_names_them(ride, external, location):
    ride("model.onnx", external(location), {location: bytes(range(256))})
    ride("nets/model.onnx", external(location), {f"nets/{location}": bytes(16)})


@pytest.mark.parametrize("location", ["../weights.bin", "/etc/passwd", "gone.bin", "", ".", "a\\b", "./weights.bin"])
def test_external_weights_outside_the_model_are_refused(ride, external, location):
    with pytest.raises(ModelRefused, match=r"it keeps weights in .* which is no file of this model"):
        ride("model.onnx", external(location), {"labels.json": b"[]"})


def test_a_stranger_beside_external_weights_is_refused(ride, external):
    with pytest.raises(ModelRefused, match=r"other\.bin: its format"):
        ride("model.onnx", external("weights.bin"), {"weights.bin": b"w", "other.bin": b"o"})


def test_a_name_that_would_delete_files_in_the_image_is_refused(ride):
    with pytest.raises(ModelRefused, match="deletes files"):
        ride("data/.wh.labels.txt", b"")


@pytest.mark.parametrize("names", [("Labels.txt", "labels.txt"), ("a.txt", "a.txt/b.txt"), ("é.txt", "e\u0301.txt")])
def test_names_that_collide_on_some_systems_are_refused(ride, names):
    with pytest.raises(ModelRefused, match="rename one"):
        ride(names[0], b"", {names[1]: b""})


@pytest.mark.parametrize("name", ["x" * 252 + ".txt", "/".join(["x" * 100] * 7) + ".txt", "ä" * 126 + ".txt"])
def test_a_name_that_no_file_system_or_store_takes_is_refused(ride, name):
    with pytest.raises(ModelRefused, match="longer than 700 bytes, or a part of it than 255"):
        ride(name, b"")
