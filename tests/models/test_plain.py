"""safetensors, JSON and text: the honest ones ride, and only those."""

import json

import numpy
import pytest
import safetensors.numpy

from tandem.errors import ModelRefused

DTYPES = [
    "bool",
    "uint8",
    "int8",
    "int16",
    "uint16",
    "float16",
    "int32",
    "uint32",
    "float32",
    "int64",
    "uint64",
    "float64",
]


@pytest.mark.parametrize("dtype", DTYPES)
def test_safetensors_of_every_dtype_ride(ride, dtype):
    tensors = {"w": numpy.ones((3, 5), dtype), "scalar": numpy.ones((), dtype), "empty": numpy.zeros((0, 7), dtype)}
    content = safetensors.numpy.save(tensors)
    ride("m.safetensors", content)
    ride("m.safetensors", content, piece=1)


def test_safetensors_with_metadata_or_nothing_at_all_ride(ride):
    ride("m.safetensors", safetensors.numpy.save({"a": numpy.zeros(3)}, {"format": "pt", "note": "größer"}))
    ride("m.safetensors", safetensors.numpy.save({}))


JSON = [
    '{"labels": ["0", "1"], "size": 8, "mean": [0.5, -1.5e-3], "softmax": true, "none": null, "deep": {"a": [[], {}]}}',
    '"text"',
    "12.5e+10",
    " [ ]\n",
    "{}",
    '["\\u00e4 \\" \\\\ / \\n", "ä"]',
    '{"a":{"b":[1,{"c":[true,false]}]},"d":[[["7",99.1],["9",0.5]]]}',
    json.dumps({f"token {each}": each for each in range(3000)}),
    json.dumps(
        {"merges": [f"a b{each}" for each in range(3000)], "more": [{"id": each} for each in range(300)]}, indent=1
    ),
]


@pytest.mark.parametrize("text", JSON, ids=range(len(JSON)))
@pytest.mark.parametrize("piece", [1, 3, 1000, 1 << 20])
def test_json_rides(ride, text, piece):
    json.loads(text)
    ride("m.json", text.encode(), piece=piece)


UNFINISHED = [
    "",
    " ",
    "{",
    "[1,2",
    '{"a"',
    '{"a":}',
    "[1,]",
    '{"a":1,}',
    '"a',
    "1.",
    "-",
    "1e",
    "1e+",
    "tru",
    "[" * 500,
]
OUT_OF_TURN = [
    "{1:2}",
    "[1 2]",
    "[1]]",
    "}",
    "truefalse",
    '{"a":1 "b":2}',
    ",",
    "[,1]",
    '{"a":1]',
    '["a":1]',
    '{"a","b"}',
]
NO_TOKENS = ["01", ".5", "+1", "NaN", "[Infinity]", "'a'", '"\\x"', '"a\nb"', "[1]//", "\ufeff{}", "\0", "nullx"]
TOO_DEEP = ["[" * 2000 + "]" * 2000]
NO_JSON = [*UNFINISHED, *OUT_OF_TURN, *NO_TOKENS, *TOO_DEEP]


@pytest.mark.parametrize("text", NO_JSON, ids=range(len(NO_JSON)))
@pytest.mark.parametrize("piece", [1, 1000])
def test_what_is_nearly_json_does_not(ride, text, piece):
    with pytest.raises(ModelRefused, match=r"m\.json: "):
        ride("m.json", text.encode(), piece=piece)


LABELS = ["", "0\n1\n2\n", "cat\ndog\nRabbit\n", "cat\ndog\ncow\npig\nbear\nape\n"]
TEXTS = [*LABELS, "größer\r\n\tkleiner", "N.A.\nIndex\n", "(i) one\ntwo\n", "It's\nSo 'said'\n"]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("piece", [1, 1000])
def test_text_rides(ride, text, piece):
    ride("labels.txt", text.encode(), piece=piece)


@pytest.mark.parametrize("content", [b"\xff", b"a\0b", b"\x1b[2J", "ä".encode()[:1], "größer".encode("utf-16")])
def test_what_is_no_text_does_not(ride, content):
    with pytest.raises(ModelRefused, match=r"labels\.txt: "):
        ride("labels.txt", content)
