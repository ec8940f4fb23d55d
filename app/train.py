"""Train the sample model, handwritten digits: `python app/train.py OUTDIR [--seed N] [--hidden N] [--sample PNG]`.

scikit-learn's copy of the UCI digits (1,797 pictures of 8 × 8) → a small network → model.onnx, model.json,
metrics.json. The same versions of the libraries and the same arguments give the same bytes.
"""

import argparse
import base64
import io
import json
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skl2onnx import to_onnx
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

Pictures = NDArray[np.float32]  # [N, 64], 0 (paper) to 1 (ink)
EPOCHS = 16  # enough: more gain nothing on pictures that were never seen


def main() -> None:
    """Read the command line, train, write, say what came out."""
    parser = argparse.ArgumentParser(description="Train the digits model and write it for serving.")
    parser.add_argument("folder", type=Path, metavar="OUTDIR")
    parser.add_argument("--seed", type=int, default=1, help="another seed makes another model")
    parser.add_argument("--hidden", type=int, default=64, help="neurons in the hidden layer")
    parser.add_argument("--sample", type=Path, metavar="PNG", help="also write a picture of a 7, to try the app with")
    asked = parser.parse_args()
    accuracy = train(asked.folder, asked.seed, asked.hidden)
    if asked.sample:
        asked.sample.write_bytes(sample())
    print(f"{asked.folder}: accuracy {accuracy:.4f} on held-out pictures")


def train(folder: Path, seed: int = 1, hidden: int = 64) -> float:
    """Write a model into `folder`; returns its accuracy, 0 to 1, on a quarter of the pictures that it never saw."""
    pictures, digits = load_digits(return_X_y=True)
    pictures = (pictures / 16).astype(np.float32)
    seen, unseen, known, asked = train_test_split(pictures, digits, test_size=0.25, random_state=0, stratify=digits)
    dice = np.random.default_rng(seed)
    seen = np.concatenate([seen, _redrawn(seen, dice), _redrawn(seen, dice)])
    network = MLPClassifier(
        (hidden,), batch_size=64, learning_rate_init=0.005, random_state=np.random.RandomState(seed)
    )
    with threadpool_limits(1):  # sums over several threads depend on how many there are
        for _ in range(EPOCHS):
            network.partial_fit(seen, np.tile(known, 3), classes=range(10))
    accuracy = float(network.score(unseen, asked))
    folder.mkdir(parents=True, exist_ok=True)
    weights = to_onnx(network, seen[:1], options={"zipmap": False}, name="digits")
    # skl2onnx keeps these in a set, whose order is another one in every twentieth process.
    domains = sorted(weights.opset_import, key=lambda opset: opset.domain)
    del weights.opset_import[:]
    weights.opset_import.extend(domains)
    (folder / "model.onnx").write_bytes(weights.SerializeToString(deterministic=True))
    _write(folder / "model.json", card(sample()))
    _write(folder / "metrics.json", {"accuracy": round(accuracy, 4)})
    return accuracy


def card(golden: bytes) -> dict[str, object]:
    """model.json's content: docs/model-json.md says what each key means."""
    return {
        "name": "digits",
        "weights": "model.onnx",
        "input": {
            "width": 8,
            "height": 8,
            "channels": "grey",
            "layout": "flat",
            "frame": "ink",
            "resample": "box",
            "invert": "auto",
            "scale": 1 / 255,
        },
        "output": {"name": "probabilities", "softmax": False},
        "labels": [str(digit) for digit in range(10)],
        "golden": {"image": base64.b64encode(golden).decode(), "label": "7", "at_least": 50},
    }


def sample() -> bytes:
    """The first 7 of the data set as PNG: 8 × 8, grey, bright on dark."""
    digits = load_digits()
    seven = digits.images[list(digits.target).index(7)]
    file = io.BytesIO()
    Image.fromarray((seven * 255 / 16).round().astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def _redrawn(pictures: Pictures, dice: np.random.Generator) -> Pictures:
    """Each picture as another hand would have drawn it: turned, slanted, with a thinner or thicker pen.

    Without this the network knows 1990s ballpoints and fails on what people draw on a screen.
    """
    return np.stack([_one_redrawn(picture, dice) for picture in pictures])


def _one_redrawn(picture: Pictures, dice: np.random.Generator) -> Pictures:
    side = 32  # the size at which the data set's authors counted ink
    small = Image.fromarray((picture.reshape(8, 8) * 255).astype(np.uint8))
    large = small.resize((side, side), Image.Resampling.BICUBIC)
    angle, slant = math.radians(dice.uniform(-20, 20)), dice.uniform(-0.3, 0.3)
    cos, sin = math.cos(angle), math.sin(angle)
    across = [1.35 * factor for factor in (cos, sin + slant * cos)]  # 1.35: no corner is turned out of sight
    down = [1.35 * factor for factor in (-sin, cos - slant * sin)]
    middle = (side - 1) / 2
    matrix = (*across, middle - middle * sum(across), *down, middle - middle * sum(down))
    turned = large.transform((side, side), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    ink = Image.fromarray(((np.asarray(turned) > dice.uniform(40, 200)) * 255).astype(np.uint8))
    stroke = ink.crop(ink.getbbox() or (0, 0, side, side))
    box = Image.new("L", (max(stroke.size), max(stroke.size)))
    box.paste(stroke, ((box.width - stroke.width) // 2, (box.height - stroke.height) // 2))
    counted = box.resize((8, 8), Image.Resampling.BOX)
    return np.asarray(counted, np.float32).ravel() / np.float32(255)


def _write(file: Path, document: dict[str, object]) -> None:
    file.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
