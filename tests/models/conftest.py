"""Files that are to ride, as a store would give them."""

from collections.abc import Callable, Iterator

import numpy
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tandem.models import checked_files
from tandem.records import Blob

FORMATS = ("onnx", "safetensors", "json", "txt")


def blob(name: str, content: bytes, piece: int = 65_536) -> Blob:
    """A blob that comes in pieces of that many bytes."""

    def pieces(offset: int) -> Iterator[bytes]:
        return (content[at : at + piece] for at in range(offset, len(content), piece))

    return Blob(name, len(content), None, pieces)


@pytest.fixture
def ride() -> Callable[..., None]:
    """ride("model.onnx", b"…", {"other.bin": b"…"}) lets all pass, unchanged, or raises ModelRefused."""

    def ride(name, content, others=None, formats=FORMATS, piece=65_536):
        files = {name: content, **(others or {})}
        for each in checked_files([blob(*file, piece) for file in files.items()], formats):
            passed = bytearray()
            for part in each.open(0):
                passed += part
            assert passed == files[each.name]

    return ride


@pytest.fixture
def network() -> Callable[..., onnx.ModelProto]:
    """network(weights) is y = x + w, whose weights may be any bytes."""

    def network(weights: bytes = bytes(16)) -> onnx.ModelProto:
        w = numpy_helper.from_array(numpy.frombuffer(weights, numpy.uint8), "w")
        x, y = (helper.make_tensor_value_info(name, TensorProto.UINT8, [len(weights)]) for name in "xy")
        graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "g", [x], [y], [w])
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])

    return network


@pytest.fixture
def external(network: Callable[..., onnx.ModelProto]) -> Callable[[str], bytes]:
    """external("weights.bin") is the network with its weights kept in that file."""

    def external(location: str) -> bytes:
        model = network()
        w = model.graph.initializer[0]
        w.ClearField("raw_data")
        w.data_location = TensorProto.EXTERNAL
        w.external_data.add(key="location", value=location)
        w.external_data.add(key="offset", value="0")
        return bytes(model.SerializeToString())

    return external
