"""Any ONNX classifier is served by its model.json alone."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from flask import Flask
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from app import create_app
from app.card import BadModel

PAINTS = {"blue": (20, 40, 220), "green": (20, 200, 40), "red": (230, 30, 20)}
SIDE = 224

Make = Callable[..., Path]


def colour_network(layout: str, batch: int | str, kind: int, logits: bool) -> onnx.ModelProto:
    """224 × 224 in, three classes out, the n-th as sure as the n-th channel is strong."""
    shape = [batch, 3, SIDE, SIDE] if layout == "CHW" else [batch, SIDE, SIDE, 3]
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    weights = numpy_helper.from_array((np.eye(3) * (4 if logits else 1)).astype(np.float32), "weights")
    nodes = [helper.make_node("Cast", ["picture"], ["exact"], to=TensorProto.FLOAT)]
    axes = numpy_helper.from_array(np.array([2, 3] if layout == "CHW" else [1, 2]), "axes")
    nodes.append(helper.make_node("ReduceMean", ["exact", "axes"], ["means"], keepdims=0))
    nodes.append(helper.make_node("MatMul", ["means", "weights"], ["scores"]))
    if not logits:
        nodes.append(helper.make_node("Softmax", ["scores"], ["classes"], axis=1))
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("picture", helper.np_dtype_to_tensor_dtype(dtype), shape)],
        [helper.make_tensor_value_info("scores" if logits else "classes", TensorProto.FLOAT, [batch, 3])],
        [weights, axes],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    return model


@pytest.fixture
def colours(tmp_path: Path, encoded: Callable[..., str]) -> Make:
    """A folder with a network of colours and its model.json; arguments replace keys of either."""

    def make(
        layout: str = "CHW", batch: int | str = "N", kind: int = TensorProto.FLOAT, logits: bool = True, **keys: object
    ) -> Path:
        (tmp_path / "resnet.onnx").write_bytes(colour_network(layout, batch, kind, logits).SerializeToString())
        size: dict[str, object] = {"width": SIDE, "height": SIDE, "channels": "bgr", "layout": layout}
        size |= {"frame": "crop", "mean": [103.9, 116.8, 123.7], "deviation": [57.4, 57.1, 58.4]}
        card: dict[str, object] = {
            "name": "colours",
            "version": "3",
            "commit": "abc",
            "weights": "resnet.onnx",
            "input": size | keys.pop("input", {}),
            "output": {"softmax": logits},
            "labels": list(PAINTS),
            "golden": {"image": encoded(Image.new("RGB", (300, 240), PAINTS["red"])), "label": "red", "at_least": 60},
        }
        (tmp_path / "model.json").write_text(json.dumps(card | keys))
        return tmp_path

    return make


def serve(folder: Path) -> Flask:
    app = create_app({"MODEL_DIR": str(folder)})
    app.extensions["readiness"].wait(60)
    return app


def answers(folder: Path, encoded: Callable[..., str]) -> list[str]:
    pictures = [encoded(Image.new("RGB", (640, 480), paint), "PNG") for paint in PAINTS.values()]
    response = serve(folder).test_client().post("/score", json={"input": pictures})
    assert response.status_code == 200, response.text
    assert all(len(best) == 3 for best in response.json["result"][0])
    return [best[0][0] for best in response.json["result"][0]]


def test_a_224_bgr_chw_network_is_a_matter_of_its_model_json(colours: Make, encoded: Callable[..., str]) -> None:
    assert answers(colours(), encoded) == ["blue", "green", "red"]


@pytest.mark.parametrize(
    "network",
    [
        {"layout": "HWC"},
        {"batch": 1},
        {"kind": TensorProto.FLOAT16},
        {"kind": TensorProto.DOUBLE},
        {"logits": False},
        {"kind": TensorProto.UINT8, "logits": False, "input": {"mean": 0, "deviation": 1}},
        {"input": {"frame": "pad", "resample": "lanczos"}},
        {"input": {"scale": 1 / 255, "mean": [0.406, 0.456, 0.485], "deviation": [0.225, 0.224, 0.229]}},
    ],
    ids=str,
)
def test_its_layout_type_batch_and_scaling_are_what_model_json_says(colours: Make, encoded, network: dict) -> None:
    assert answers(colours(**network), encoded) == ["blue", "green", "red"]


def test_channels_in_the_wrong_order_are_found_by_the_golden_sample(colours: Make) -> None:
    client = serve(colours(input={"channels": "rgb"})).test_client()
    for response in (client.get("/readyz"), client.post("/score", json={"input": ["x"]})):
        assert response.status_code == 503 and response.content_type == "application/problem+json"
        assert "golden" in response.json["detail"] and "'blue'" in response.json["detail"]
    assert client.get("/healthz").status_code == 200


def test_why_a_model_is_not_ready_stands_in_the_log(colours: Make, caplog: pytest.LogCaptureFixture) -> None:
    serve(colours(golden={"image": "bm90aGluZw==", "label": "red"}))
    assert "not ready" in caplog.text and "golden" in caplog.text


NEVER_READY = {
    "fewer labels than classes": ({"labels": ["blue", "red"]}, "labels: 2"),
    "another size": ({"input": {"width": 128}}, "[N, 3, 224, 128]"),
    "another layout": ({"input": {"layout": "HWC"}}, "[N, 224, 224, 3]"),
    "no such output": ({"output": {"name": "classes"}}, "scores"),
    "logits taken for probabilities": ({"output": {"softmax": False}}, "softmax"),
    "a golden sample that is answered half-heartedly": (
        {"input": {"deviation": [5000, 5000, 5000]}},
        "60",
    ),
}


@pytest.mark.parametrize(("keys", "reason"), NEVER_READY.values(), ids=NEVER_READY.keys())
def test_a_network_that_does_not_fit_its_card_never_gets_ready(colours: Make, keys: dict, reason: str) -> None:
    response = serve(colours(**keys)).test_client().get("/readyz")
    assert response.status_code == 503
    assert reason in response.json["detail"]


def test_weights_that_are_no_network_never_get_ready(colours: Make) -> None:
    folder = colours()
    (folder / "resnet.onnx").write_bytes(b"weights")
    response = serve(folder).test_client().get("/readyz")
    assert response.status_code == 503 and "resnet.onnx" in response.json["detail"]


def test_a_network_that_gives_no_number_is_said_to_have_no_answer(colours: Make, encoded) -> None:
    # 255 × 260 is more than 16 bits hold: of white, and not of red, the network sees infinity.
    folder = colours(kind=TensorProto.FLOAT16, input={"scale": 260, "mean": 0, "deviation": 1})
    pictures = [encoded(Image.new("RGB", (9, 9), paint)) for paint in ((230, 0, 0), "white")]
    response = serve(folder).test_client().post("/score", json={"input": pictures})
    assert response.status_code == 422 and response.json["index"] == 1, response.text


WRONG_CARDS = {
    "no labels": ({"labels": []}, "labels"),
    "a label that is a number": ({"labels": [1, 2, 3]}, "labels"),
    "a golden label that is none": ({"golden": {"image": "", "label": "pink"}}, "golden.label"),
    "weights elsewhere": ({"weights": "../resnet.onnx"}, "weights"),
    "weights that are not there": ({"weights": "net.onnx"}, "weights"),
    "an unknown layout": ({"input": {"layout": "CWH"}}, "input.layout"),
    "an unknown channel order": ({"input": {"channels": "brg"}}, "input.channels"),
    "division by nothing": ({"input": {"deviation": 0}}, "input.deviation"),
    "two means for three channels": ({"input": {"mean": [1, 2]}}, "input.mean"),
    "three means for grey": ({"input": {"channels": "grey"}}, "input.mean"),
    "a width of nothing": ({"input": {"width": 0}}, "input.width"),
    "true for a number": ({"input": {"scale": True}}, "input.scale"),
    "a text for a table": ({"golden": "seven"}, "golden"),
    "ink in colour": ({"input": {"frame": "ink"}}, "input.frame"),
}


@pytest.mark.parametrize(("keys", "named"), WRONG_CARDS.values(), ids=WRONG_CARDS.keys())
def test_a_mistake_in_model_json_stops_the_start_and_names_the_key(colours: Make, keys: dict, named: str) -> None:
    with pytest.raises(BadModel, match=f"model.json: {named}"):
        create_app({"MODEL_DIR": str(colours(**keys))})


def test_without_a_model_folder_the_start_says_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MODEL_DIR", raising=False)
    with pytest.raises(BadModel, match="MODEL_DIR is not set"):
        create_app()
    with pytest.raises(BadModel, match="MODEL_DIR"):
        create_app({"MODEL_DIR": str(tmp_path)})
    (tmp_path / "model.json").write_text("[")
    with pytest.raises(BadModel, match="not JSON"):
        create_app({"MODEL_DIR": str(tmp_path)})
