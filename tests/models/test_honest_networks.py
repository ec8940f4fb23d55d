"""ONNX networks of every kind of field that the format knows: all of them ride."""

import numpy
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT


def value(name, shape, kind=FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def model(nodes, initializers=(), inputs=(), outputs=("y",), **more):
    graph = helper.make_graph(nodes, "g", list(inputs), [value(name, None) for name in outputs], list(initializers))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], producer_name="by hand", **more)


def convolution():
    kernel = numpy.random.default_rng(1).normal(size=(8, 3, 3, 3)).astype(numpy.float32)
    node = helper.make_node("Conv", ["x", "w"], ["c"], kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2])
    nodes = [node, helper.make_node("LeakyRelu", ["c"], ["y"], alpha=0.1)]
    made = model(nodes, [numpy_helper.from_array(kernel, "w")], [value("x", ["batch", 3, 8, 8])])
    return onnx.shape_inference.infer_shapes(made)


def typed_data():
    """Numbers in the packed fields, not in raw_data."""
    kinds = [FLOAT, TensorProto.INT32, TensorProto.INT64, TensorProto.DOUBLE, TensorProto.UINT64, TensorProto.COMPLEX64]
    tensors = [helper.make_tensor(f"t{kind}", kind, [3], [1, 2, 3]) for kind in kinds]
    tensors.append(helper.make_tensor("negative", TensorProto.INT64, [2], [-1, -(2**63)]))
    tensors.append(helper.make_tensor("texts", TensorProto.STRING, [2], [b"a", "ä".encode()]))
    return model([helper.make_node("Identity", ["t1"], ["y"])], tensors)


def subgraphs():
    branches = {
        f"{which}_branch": helper.make_graph(
            [helper.make_node("Constant", [], ["c"], value=helper.make_tensor("v", FLOAT, [1], [number]))],
            which,
            [],
            [value("c", [1])],
        )
        for which, number in (("then", 1.0), ("else", 2.0))
    }
    return model([helper.make_node("If", ["x"], ["y"], **branches)], inputs=[value("x", [], TensorProto.BOOL)])


def functions():
    domain = helper.make_opsetid("ours", 1)
    square = helper.make_function(
        "ours", "Square", ["a"], ["b"], [helper.make_node("Mul", ["a", "a"], ["b"])], [domain]
    )
    made = model(
        [helper.make_node("Square", ["x"], ["y"], domain="ours")], inputs=[value("x", [1])], functions=[square]
    )
    made.opset_import.append(domain)
    return made


def sparse():
    values = helper.make_tensor("s", FLOAT, [2], [1.0, 2.0])
    tensor = helper.make_sparse_tensor(values, helper.make_tensor("i", TensorProto.INT64, [2], [3, 7]), [10])
    made = model([helper.make_node("Identity", ["x"], ["y"])], inputs=[value("x", [10])])
    made.graph.sparse_initializer.append(tensor)
    return made


def quantised():
    weights = [
        helper.make_tensor("w8", TensorProto.INT8, [4], [-128, -1, 0, 127]),
        helper.make_tensor("scale", FLOAT, [], [0.02]),
        helper.make_tensor("w4", TensorProto.INT4, [4], [-8, -1, 0, 7]),
        helper.make_tensor("f8", TensorProto.FLOAT8E4M3FN, [2], [0.5, 1.0]),
        helper.make_tensor("bf", TensorProto.BFLOAT16, [2], [0.5, 1.0]),
    ]
    made = model([helper.make_node("DequantizeLinear", ["w8", "scale"], ["y"])], weights)
    note = made.graph.quantization_annotation.add(tensor_name="w8")
    note.quant_parameter_tensor_names.add(key="SCALE_TENSOR", value="scale")
    return made


def training():
    made = convolution()
    step = made.training_info.add()
    step.algorithm.CopyFrom(helper.make_graph([], "step", [], []))
    step.update_binding.add(key="w", value="w2")
    return made


def types():
    """Sequences, maps, optionals; attributes of every kind; notes everywhere; several devices."""
    of_map = helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(FLOAT, ["n"]))
    inputs = [
        helper.make_value_info("maps", helper.make_sequence_type_proto(of_map)),
        helper.make_value_info("maybe", helper.make_optional_type_proto(of_map)),
        helper.make_value_info("sparse", helper.make_sparse_tensor_type_proto(FLOAT, [3, "n"])),
    ]
    attributes = {
        "a": 1,
        "b": 2.5,
        "c": "text",
        "d": [1, -2, 3],
        "e": [0.5] * 1000,
        "f": ["x", "y"],
        "g": list(range(999)),
    }
    node = helper.make_node("Thing", ["maps"], ["y"], domain="ours", doc_string="what it does", **attributes)
    node.attribute.append(helper.make_attribute("type", of_map))
    node.device_configurations.add(configuration_id="two", pipeline_stage=1)
    made = model([node], inputs=inputs, doc_string="a model", model_version=-1)
    made.configuration.add(name="two", num_devices=2, device=["a", "b"])
    helper.set_model_props(made, {"author": "ada", "größe": "8×8"})
    return made


def empty():
    return model([helper.make_node("Identity", ["x"], ["y"])], [helper.make_tensor("none", FLOAT, [0], [])])


KINDS = [convolution, typed_data, subgraphs, functions, sparse, quantised, training, types, empty]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_honest_network_rides(ride, kind):
    content = kind().SerializeToString()
    ride("model.onnx", content)
    ride("model.onnx", content, piece=1)


def test_weights_in_a_file_of_their_own_ride(ride, tmp_path):
    made = convolution()
    onnx.save(made, tmp_path / "m.onnx", save_as_external_data=True, location="m.onnx.data", size_threshold=0)
    ride("m.onnx", (tmp_path / "m.onnx").read_bytes(), {"m.onnx.data": (tmp_path / "m.onnx.data").read_bytes()})
