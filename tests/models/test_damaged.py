"""Whatever rides, the format's own parser takes too, and finds nothing in it that it does not know."""

import json

import onnx
import pytest
import safetensors.numpy
from numpy import arange, float32
from onnx import helper

from tandem.errors import ModelRefused


def rides(ride, name, content):
    try:
        ride(name, content)
    except ModelRefused:
        return False
    return True


@pytest.fixture
def parses():
    """Whether the real parser takes it, and knows every field in it."""

    def parses(content):
        model = onnx.ModelProto()
        model.ParseFromString(content)
        size = model.ByteSize()
        model.DiscardUnknownFields()
        return size == model.ByteSize()

    return parses


@pytest.fixture
def small(network):
    made = network()
    made.graph.node[0].attribute.append(helper.make_attribute("list", [1, 2, 300]))
    made.graph.initializer.append(helper.make_tensor("packed", onnx.TensorProto.INT64, [2], [5, -1]))
    return bytes(made.SerializeToString())


def test_an_onnx_file_cut_anywhere(ride, small, parses):
    kept = [end for end in range(len(small)) if rides(ride, "m.onnx", small[:end])]
    assert all(parses(small[:end]) for end in kept)
    assert len(kept) <= 1  # where the graph is whole and only the last field is missing


def test_an_onnx_file_with_any_bit_flipped(ride, small, parses):
    refused = 0
    for bit in range(len(small) * 8):
        content = bytearray(small)
        content[bit // 8] ^= 1 << bit % 8
        if rides(ride, "m.onnx", bytes(content)):
            assert parses(bytes(content)), bit
        else:
            refused += 1
    assert refused > len(small)  # the rest is in names and weights, and nobody can know


WRONG = {
    "an unknown field": b"\xa0\x06\x01",
    "a group": b"\x0b\x0c",
    "the wrong wire type": b"\x15\0\0\0\0",
    "a length beyond the end": b"\x12\x7f",
    "an endless number": b"\x28" + b"\xff" * 11,
    "a number of more than 64 bits": b"\x28" + b"\xff" * 9 + b"\x02",
    "a tag padded with zeros": b"\x92\x80\x00\x00",
    "a length padded with zeros": b"\x12\x80\x00",
    "a graph again": b"\x3a\x00",
    "field zero": b"\x00\x00",
    "an opset that is cut": b"\x42\x03\x10",
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_at_the_end_of_an_onnx_file(ride, small, wrong):
    with pytest.raises(ModelRefused):
        ride("m.onnx", small + WRONG[wrong])


@pytest.mark.parametrize("content", [b"", b"\x08\x08", b"\x3a\x00", b"<html>", bytes(100)])
def test_what_is_no_onnx_file(ride, content):
    with pytest.raises(ModelRefused, match=r"m\.onnx: "):
        ride("m.onnx", content)


def test_an_attribute_type_that_onnx_does_not_know(ride, network):
    made = network()
    made.graph.node[0].attribute.append(helper.make_attribute("a", 1))
    content = made.SerializeToString().replace(b"\xa0\x01\x02", b"\xa0\x01\x63")
    with pytest.raises(ModelRefused, match=r"AttributeProto\.type is 99"):
        ride("m.onnx", content)


@pytest.mark.parametrize("last", [b"\xff", b"\x80\x00", b"\xff" * 9 + b"\x02", b"\xff" * 11 + b"\x01"])
def test_packed_numbers_that_are_none(ride, network, last):
    made = network()
    made.graph.initializer.append(helper.make_tensor("i", onnx.TensorProto.INT64, [3], [1, 2, 3]))
    content = made.graph.SerializeToString().replace(b"\x3a\x03\x01\x02\x03", b"\x3a" + length(last) + last)
    tensor = content.rindex(b"\x2a", 0, content.index(b"\x3a" + length(last) + last))
    grown = bytearray(content)
    grown[tensor + 1] += len(last) - 3
    with pytest.raises(ModelRefused, match=r"a number (that never ends|cut off|of more)"):
        ride("m.onnx", b"\x08\x08\x3a" + length(grown) + grown)


def test_graphs_within_graphs_without_end(ride):
    content = b""
    for _ in range(60):
        attribute = b"\x32" + length(content) + content
        content = b"\x0a" + length(b"\x2a" + length(attribute) + attribute) + b"\x2a" + length(attribute) + attribute
    with pytest.raises(ModelRefused, match="messages within messages"):
        ride("m.onnx", b"\x08\x08\x3a" + length(content) + content)


def length(content):
    size = len(content)
    return bytes([size & 0x7F | 0x80, size >> 7]) if size > 0x7F else bytes([size])


@pytest.fixture
def tensors():
    return bytearray(safetensors.numpy.save({"a": arange(6, dtype=float32), "b": arange(4, dtype="int8")}, {"k": "v"}))


def test_a_safetensors_file_cut_anywhere_or_longer(ride, tensors):
    for end in range(len(tensors)):
        assert not rides(ride, "m.safetensors", bytes(tensors[:end])), end
    assert not rides(ride, "m.safetensors", bytes(tensors) + b"\0")


def test_a_safetensors_file_with_any_bit_flipped(ride, tensors):
    for bit in range(len(tensors) * 8):
        content = bytearray(tensors)
        content[bit // 8] ^= 1 << bit % 8
        if rides(ride, "m.safetensors", bytes(content)):
            safetensors.numpy.load(bytes(content))


HEADERS = {
    "a hole": {"a": ("U8", [1], [0, 1]), "b": ("U8", [1], [2, 3])},
    "an overlap": {"a": ("U8", [2], [0, 2]), "b": ("U8", [2], [1, 3])},
    "a wrong length": {"a": ("F32", [1], [0, 3])},
    "an unknown dtype": {"a": ("OBJ", [3], [0, 3])},
    "a negative shape": {"a": ("U8", [-1, -3], [0, 3])},
    "a shape of truths": {"a": ("U8", [True, 3], [0, 3])},
    "offsets that go back": {"a": ("U8", [0], [3, 3]), "b": ("U8", [3], [0, 3])},
    "nothing for three bytes": {},
}


@pytest.mark.parametrize("wrong", [wrong for wrong in HEADERS if wrong != "offsets that go back"])
def test_a_safetensors_header_that_does_not_tile(ride, wrong):
    with pytest.raises(ModelRefused):
        ride("m.safetensors", headed(HEADERS[wrong]))


def test_an_empty_tensor_at_the_end_tiles(ride):
    ride("m.safetensors", headed(HEADERS["offsets that go back"]))


def headed(header, raw=None):
    named = {name: dict(zip(("dtype", "shape", "data_offsets"), of, strict=True)) for name, of in header.items()}
    content = raw if raw is not None else json.dumps(named).encode()
    return len(content).to_bytes(8, "little") + content + b"\0\0\0"


RAW = [
    b'{"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}}',
    b'{"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3],"more":1}}',
    b'{"__metadata__":{"k":1},"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}}',
    b' {"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}}',
    b'{"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}}\0',
    b'{"a":{"dtype":"U8","shape":[NaN],"data_offsets":[0,3]}}',
    b"[" * 100_000,
    b"",
]


@pytest.mark.parametrize("raw", RAW, ids=range(len(RAW)))
def test_a_safetensors_header_that_is_not_strict(ride, raw):
    with pytest.raises(ModelRefused):
        ride("m.safetensors", headed({}, raw))


def test_a_safetensors_header_larger_than_any(ride):
    with pytest.raises(ModelRefused, match="100000000 at most"):
        ride("m.safetensors", (100_000_001).to_bytes(8, "little") + b"{}")
