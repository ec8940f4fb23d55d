"""A plain picture → the numbers that a model takes, as its card says."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from .card import Input

SKETCH = 512  # pixels on the longer side: more tell nothing about where ink is, and cost time


def prepare(picture: Image.Image, card: Input) -> NDArray[np.float32]:
    """One picture's tensor, float32, of the shape card.shape.

    A picture that has the model's size already is not framed again: what was made for the model arrives as it is.
    """
    mode = "L" if card.channels == "grey" else "RGB"
    picture = picture if picture.mode == mode else picture.convert(mode)
    if card.invert is True or (card.invert == "auto" and _bright_border(picture)):
        picture = ImageOps.invert(picture)
    size = (card.width, card.height)
    if picture.size != size:
        picture = _framed(picture, card)
    values: NDArray[np.float32] = np.asarray(picture, dtype=np.float32).reshape(card.height, card.width, -1)
    if card.channels == "bgr":
        values = values[:, :, ::-1]
    mean, deviation = np.asarray(card.mean, np.float32), np.asarray(card.deviation, np.float32)
    with np.errstate(all="ignore"):  # a card may ask for more than 32 bits hold: the golden sample finds it
        values = (values * np.float32(card.scale) - mean) / deviation
    if card.layout == "CHW":
        values = values.transpose(2, 0, 1)
    return np.ascontiguousarray(values, dtype=np.float32).reshape(card.shape)


def _framed(picture: Image.Image, card: Input) -> Image.Image:
    size = (card.width, card.height)
    resample = Image.Resampling[card.resample.upper()]
    if card.frame == "crop":
        return ImageOps.fit(picture, size, resample)
    if card.frame == "pad":
        return ImageOps.pad(picture, size, resample)
    if card.frame == "ink":
        picture = _ink(picture, card.width / card.height)
    return picture.resize(size, resample)


def _ink(picture: Image.Image, aspect: float) -> Image.Image:
    """The ink alone, white on black, filling a box of that aspect (width ÷ height) and in its middle.

    As the UCI digits were made from NIST's forms: cut to a box, turned to ink or no ink, then averaged by area.
    """
    picture = picture.copy()
    picture.thumbnail((SKETCH, SKETCH), Image.Resampling.BOX)
    values = np.asarray(picture, dtype=np.float32)
    # The paper is what most of the picture shows; ink is nearer to the brightest stroke than to the paper.
    paper, brightest = float(np.median(values)), float(values.max())
    ink = Image.fromarray(((values > (paper + brightest) / 2) * 255).astype(np.uint8))
    box = ink.getbbox()
    if box is None:
        return ink
    stroke = ink.crop(box)
    height = max(stroke.height, round(stroke.width / aspect))
    framed = Image.new("L", (max(stroke.width, round(height * aspect)), height))
    framed.paste(stroke, ((framed.width - stroke.width) // 2, (framed.height - stroke.height) // 2))
    return framed


def _bright_border(picture: Image.Image) -> bool:
    """Whether a picture is dark on bright, as on paper: its edge, where seldom is ink, is brighter than mid-grey."""
    values = np.asarray(picture.convert("L"), dtype=np.float32)
    edge = np.concatenate([values[0], values[-1], values[1:-1, 0], values[1:-1, -1]])
    return float(edge.mean()) > 127.5
