"""model.json, which says how pictures become a model's input and its output an answer: docs/model-json.md."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

Channels = Literal["grey", "rgb", "bgr"]
Layout = Literal["CHW", "HWC", "flat"]
Frame = Literal["stretch", "crop", "pad", "ink"]
Resample = Literal["nearest", "box", "bilinear", "bicubic", "lanczos"]


class BadModel(Exception):
    """The model's folder cannot be served; says what is wrong with which file."""


@dataclass(frozen=True)
class Input:
    """What the model takes: pictures of width × height pixels, each value (v × scale − mean) ÷ deviation, v 0..255."""

    width: int
    height: int
    channels: Channels = "rgb"
    layout: Layout = "CHW"
    frame: Frame = "stretch"
    resample: Resample = "bilinear"
    invert: bool | Literal["auto"] = False
    scale: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    deviation: tuple[float, ...] = (1.0,)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one picture's tensor, without the batch."""
        depth = 1 if self.channels == "grey" else 3
        if self.layout == "flat":
            return (depth * self.height * self.width,)
        return (depth, self.height, self.width) if self.layout == "CHW" else (self.height, self.width, depth)


@dataclass(frozen=True)
class Golden:
    """A picture (base64) whose answer is known: nothing is served until the model has given it."""

    image: str
    label: str
    at_least: float = 0.0


@dataclass(frozen=True)
class Card:
    """The whole of model.json."""

    name: str
    version: str
    commit: str
    weights: Path
    input: Input
    labels: tuple[str, ...]
    golden: Golden
    output: str | None = None
    softmax: bool = False


def read_card(folder: Path) -> Card:
    """The card of the model in `folder`; raises BadModel with the key that is wrong and what is allowed there."""
    file = folder / "model.json"
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadModel(f"{file}: {error.strerror}: let MODEL_DIR name a folder with model.json and weights") from None
    except ValueError as error:
        raise BadModel(f"{file}: not JSON: {error}") from None
    try:
        return _card(_Table(document, ""), folder)
    except BadModel as error:
        raise BadModel(f"{file}: {error}") from None


def _card(document: "_Table", folder: Path) -> Card:
    size, golden, output = document.table("input"), document.table("golden"), document.table("output", {})
    labels = document.take("labels", list)
    if not labels or not all(isinstance(label, str) for label in labels):
        raise BadModel("labels: a list of texts, one for each class, in the order of the model's output")
    picture = Input(
        width=size.count("width"),
        height=size.count("height"),
        channels=size.one_of("channels", get_args(Channels), "rgb"),
        layout=size.one_of("layout", get_args(Layout), "CHW"),
        frame=size.one_of("frame", get_args(Frame), "stretch"),
        resample=size.one_of("resample", get_args(Resample), "bilinear"),
        invert=size.one_of("invert", (False, True, "auto"), False),
        scale=size.numbers("scale", 1.0, 1)[0],
        mean=size.numbers("mean", 0.0, 3),
        deviation=size.numbers("deviation", 1.0, 3),
    )
    if 0 in picture.deviation:
        raise BadModel("input.deviation: values are divided by it, so it is not 0")
    if picture.channels == "grey" and len(picture.mean) + len(picture.deviation) > 2:
        raise BadModel("input.mean, input.deviation: one number each where channels is grey")
    if picture.frame == "ink" and picture.channels != "grey":
        raise BadModel('input.frame: "ink" needs channels "grey"')
    known = Golden(golden.take("image", str), golden.take("label", str), golden.numbers("at_least", 0.0, 1)[0])
    if known.label not in labels:
        raise BadModel(f"golden.label: {known.label!r} is none of the labels")
    return Card(
        name=document.take("name", str),
        version=document.take("version", str, "unknown"),
        commit=document.take("commit", str, "unknown"),
        weights=_weights(folder, document.take("weights", str, "model.onnx")),
        input=picture,
        labels=tuple(labels),
        golden=known,
        output=output.take("name", str, "") or None,
        softmax=output.one_of("softmax", (False, True), False),
    )


def _weights(folder: Path, name: str) -> Path:
    if Path(name).name != name or not (folder / name).is_file():
        raise BadModel(f"weights: no file {name!r} beside model.json")
    return folder / name


class _Table:
    """A JSON object whose values are asked for by key and kind."""

    def __init__(self, content: object, path: str) -> None:
        if not isinstance(content, dict):
            raise BadModel(f"{path or 'the whole'}: must be an object {{…}}")
        self.content: Mapping[str, Any] = content
        self.path = path

    def _key(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def take(self, key: str, kind: type, default: object = None) -> Any:
        value = self.content.get(key, default)
        if not isinstance(value, kind):
            word = {str: "a text", list: "a list", int: "a whole number"}[kind]
            raise BadModel(f"{self._key(key)}: must be {word}, not {json.dumps(value)[:40]}")
        return value

    def table(self, key: str, default: object = None) -> "_Table":
        return _Table(self.content.get(key, default), self._key(key))

    def count(self, key: str) -> int:
        value: int = self.take(key, int)
        if isinstance(value, bool) or not 1 <= value <= 4096:
            raise BadModel(f"{self._key(key)}: a number of pixels, 1 to 4096")
        return value

    def one_of(self, key: str, allowed: tuple[Any, ...], default: object) -> Any:
        value = self.content.get(key, default)
        if not any(value is choice or (isinstance(value, str) and value == choice) for choice in allowed):
            raise BadModel(f"{self._key(key)}: one of {json.dumps(allowed)}, not {json.dumps(value)[:40]}")
        return value

    def numbers(self, key: str, default: float, most: int) -> tuple[float, ...]:
        value = self.content.get(key, default)
        several = value if isinstance(value, list) else [value]
        honest = all(isinstance(v, (int, float)) and not isinstance(v, bool) and math.isfinite(v) for v in several)
        if not honest or len(several) not in (1, most):
            raise BadModel(f"{self._key(key)}: a number" + (f", or a list of {most} of them" if most > 1 else ""))
        return tuple(float(v) for v in several)
