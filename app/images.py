"""Bytes that a stranger sent → a plain picture, or a reason why not."""

import base64
import binascii
import io

import numpy as np
from PIL import Image, ImageOps

FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP")


class NotAnImage(ValueError):
    """These bytes are no picture that can be read; the text completes "the element …"."""


class TooManyPixels(ValueError):
    """The picture is larger than what is left of the request's allowance."""


def unwrap(element: object) -> bytes:
    """The bytes of one base64 element, which older clients wrap as b'…'; raises NotAnImage."""
    if not isinstance(element, str):
        raise NotAnImage("is not a text: send each picture's bytes in base64")
    if element.startswith("b'") and element.endswith("'"):
        element = element[2:-1]
    if element.startswith("data:"):
        raise NotAnImage("is a data: URL: send only what follows its comma")
    try:
        # Line breaks pass, since many an encoder folds its lines (RFC 2045); anything else does not.
        content = base64.b64decode("".join(element.split()), validate=True)
    except (binascii.Error, ValueError):
        raise NotAnImage("is not base64 (RFC 4648, with padding)") from None
    if not content:
        raise NotAnImage("is empty")
    return content


def decode(content: bytes, pixels: int) -> Image.Image:
    """A picture in mode L or RGB, upright, its first frame, transparency on white.

    Raises TooManyPixels before anything is decoded where width × height is above `pixels`, and NotAnImage.
    """
    try:
        picture = Image.open(io.BytesIO(content), formats=FORMATS)
        size = picture.width * picture.height
        if size <= pixels:
            picture.load()
            ImageOps.exif_transpose(picture, in_place=True)
            return _plain(picture)
    except Image.DecompressionBombError as error:
        raise TooManyPixels(str(error)) from None
    except Exception as error:
        # Decoders meet hostile bytes with whatever they happen to trip over (OSError, SyntaxError, struct.error, …).
        kinds = ", ".join(FORMATS)
        raise NotAnImage(f"is not a whole picture of a kind read here ({kinds}): {type(error).__name__}") from error
    raise TooManyPixels(f"{picture.width} × {picture.height} pixels")


def _plain(picture: Image.Image) -> Image.Image:
    if picture.mode == "I" or picture.mode.startswith("I;16"):
        # Pillow clips 16 bits at 255 where it should scale them.
        return Image.fromarray((np.asarray(picture).astype(np.float32) / 257).clip(0, 255).round().astype(np.uint8))
    if picture.has_transparency_data:
        shown = picture if picture.mode == "RGBA" else picture.convert("RGBA")
        paper = Image.new("RGB", shown.size, "white")
        paper.paste(shown, mask=shown.getchannel("A"))
        return paper
    mode = "L" if picture.mode in ("1", "L") else "RGB"
    return picture if picture.mode == mode else picture.convert(mode)  # a copy of a large picture is large
