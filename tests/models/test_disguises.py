"""Files that are two things at once (tried with the real tools), and may not ride."""

import io
import pickle
import zipfile

import onnx
import pytest
import safetensors.numpy

from tandem.errors import ModelRefused


@pytest.fixture
def mark(tmp_path):
    """Made by a pickle when it is loaded."""
    return tmp_path / "it ran"


@pytest.fixture
def payload(mark):
    """A protocol-0 pickle: opcodes in plain text."""
    return f"cos\nmkdir\n(S'{mark}'\ntR.".encode()


def runs(content, mark):
    """Whether unpickling this runs its code."""
    try:
        pickle.loads(content)
    except Exception as error:
        print(error)  # what comes after the code
    ran = mark.is_dir()
    if ran:
        mark.rmdir()
    return ran


def zipped(comment=b""):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("evil.py", "print('hello')")
        archive.comment = comment
    return content.getvalue()


def opens(content):
    """Whether this opens as a zip."""
    return zipfile.ZipFile(io.BytesIO(content)).namelist() == ["evil.py"]


def length(content):
    """A protobuf length."""
    assert len(content) < 1 << 14
    return bytes([len(content) & 0x7F | 0x80, len(content) >> 7]) if len(content) > 0x7F else bytes([len(content)])


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", ["model.onnx", "model.safetensors", "labels.txt", "labels.json"])
def test_a_pickle_under_another_name(ride, mark, name, protocol):
    class Evil:
        def __reduce__(self):
            return mark.mkdir, ()

    content = pickle.dumps(Evil(), protocol)
    assert runs(content, mark)
    with pytest.raises(ModelRefused, match=f"{name}: .*it is also a pickle"):
        ride(name, content)


def test_a_pickle_in_a_protobuf_field_that_onnx_does_not_know(ride, network, mark, payload):
    inside = b"000" + payload  # field 9: "J" to an unpickler, a number of four bytes
    content = b"J" + length(inside) + inside + network().SerializeToString()
    onnx.checker.check_model(onnx.load_from_string(content))
    assert runs(content, mark)
    with pytest.raises(ModelRefused, match="it is also a pickle"):
        ride("model.onnx", content)


def test_a_pickle_in_fields_that_onnx_knows(ride, network, mark, payload):
    model = network(b"N" * 70_000 + payload)
    del model.opset_import[:]
    opset = b"\x0a\x01\x00" + b"\x10\x12"  # to an unpickler "B" and the length 0x010a05: 68,101 bytes to skip
    content = b"B" + length(opset) + opset + b"B\x02\x10\x12" + model.SerializeToString()
    parsed = onnx.load_from_string(content)
    assert len(parsed.SerializeToString()) == len(content)
    assert runs(content, mark)
    with pytest.raises(ModelRefused, match="it is also a pickle"):
        ride("model.onnx", content)


def test_a_zip_in_a_trailing_field_that_onnx_does_not_know(ride, network):
    inside = zipped()
    content = network().SerializeToString() + b"\xa2\x06" + length(inside) + inside
    onnx.checker.check_model(onnx.load_from_string(content))
    assert opens(content)
    with pytest.raises(ModelRefused, match=r"field 100 of ModelProto .* is unknown|also a zip"):
        ride("model.onnx", content)


@pytest.mark.parametrize("comment", [0, 1000, 60_000])
@pytest.mark.parametrize("piece", [1000, 65_536, 1 << 20])
def test_a_zip_in_the_weights_themselves(ride, network, comment, piece):
    content = network(bytes(10_000) + zipped(b"c" * comment)).SerializeToString()
    assert opens(content)
    with pytest.raises(ModelRefused, match="it is also a zip"):
        ride("model.onnx", content, piece=piece)


@pytest.mark.parametrize("where", ["at the end, as far from it as can be", "at the beginning"])
def test_a_zip_among_external_weights(ride, external, where):
    content = zipped() + bytes(100_000) if "beginning" in where else bytes(100_000) + zipped(b"c" * 65_535)
    assert "beginning" in where or opens(content)
    with pytest.raises(ModelRefused, match="it is also a zip"):
        ride("model.onnx", external("weights.bin"), {"weights.bin": content})


def test_a_pickle_that_is_a_whole_safetensors_file(ride, mark, payload):
    data = b"N" * 200 + payload
    size = 0x42 + 256 * 9  # "B" to an unpickler, and the length 9: it goes on at byte 14, in the tensor's name
    closing = b'":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}' % (len(data), len(data))
    name = b"name" + (b"U~" + b"k" * 126) * 20  # to an unpickler, texts of 126 bytes, the last one into the data
    header = b'{"' + name[: size - 2 - len(closing)] + closing
    content = size.to_bytes(8, "little") + header + data
    assert len(safetensors.numpy.load(content)) == 1
    assert runs(content, mark)
    with pytest.raises(ModelRefused, match="it is also a pickle"):
        ride("model.safetensors", content)


def test_a_safetensors_file_with_a_zip_in_its_last_tensor(ride):
    inside = zipped()
    header = b'{"w":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}' % (len(inside), len(inside))
    content = len(header).to_bytes(8, "little") + header + inside
    assert opens(content)
    assert len(safetensors.numpy.load(content)) == 1
    with pytest.raises(ModelRefused, match="it is also a zip"):
        ride("model.safetensors", content)


def test_a_second_pickle_after_a_harmless_one(ride, mark, payload):
    content = pickle.dumps({"version": 1}, 0) + payload
    stream = io.BytesIO(content)
    assert pickle.load(stream) == {"version": 1}
    assert runs(stream.read(), mark)
    with pytest.raises(ModelRefused, match="it is also a pickle"):
        ride("notes.txt", content)


@pytest.mark.parametrize("piece", [97, 65_536])
def test_a_pickle_behind_a_long_text_and_a_thousand_steps(ride, mark, payload, piece):
    content = b"V" + b"x" * 100_000 + b"\n0" + b"N0" * 1000 + payload
    assert runs(content, mark)
    with pytest.raises(ModelRefused, match="it is also a pickle"):
        ride("notes.txt", content, piece=piece)


OTHER_CALLS = {
    "INST": b"(ios\ngetcwd\n.",
    "OBJ": b"(cos\ngetcwd\no.",
    "BUILD": b"cos\npath\n}S'sep'\nS'!'\nsb.",
    "APPEND": b"csys\npath\nS'/evil'\na.",
    "SETITEM": b"cos\nenviron\nS'A'\nS'b'\ns.",
    "from the memo": b"cos\ngetcwd\np0\n0g0\n)R.",
    "STACK_GLOBAL": b"\x8c\x02os\x94\x8c\x06getcwd\x94\x93)R.",
    "two imports": b"cgc\ncallbacks\ncos\nabort\na.",
    "NEWOBJ": b"cpathlib\nPath\n)\x81.",
}


@pytest.mark.parametrize("how", OTHER_CALLS)
def test_every_way_in_which_a_pickle_calls(ride, how):
    with pytest.raises(ModelRefused, match="it is also a pickle"):
        ride("model.onnx", OTHER_CALLS[how])


@pytest.mark.parametrize("inside", ["a pickle", "a zip"])
def test_external_weights_are_looked_at_too(ride, external, payload, inside):
    with pytest.raises(ModelRefused, match=f"weights.bin: .*it is also {inside}"):
        ride("model.onnx", external("weights.bin"), {"weights.bin": payload if inside == "a pickle" else zipped()})
