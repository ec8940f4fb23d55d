"""Pictures of every kind become what the model was trained on."""

import json

import pytest
from flask.testing import FlaskClient
from PIL import Image, ImageOps


def best(client: FlaskClient, element: str) -> str:
    response = client.post("/score", data=json.dumps({"input": [element]}), content_type="application/json")
    assert response.status_code == 200, response.text
    return response.json["result"][0][0][0][0]


KINDS = {
    "dark on white": lambda seven: seven,
    "bright on black": ImageOps.invert,
    "in colour": lambda seven: ImageOps.colorize(seven, "navy", "ivory"),
    "with a palette": lambda seven: seven.convert("P"),
    "black or white": lambda seven: seven.convert("1"),
    "wide": lambda seven: ImageOps.pad(seven, (900, 280), color=255),
    "small in a corner": lambda seven: ImageOps.expand(seven.resize((90, 90)), (10, 20, 300, 300), 255),
    "large": lambda seven: seven.resize((2000, 2000)),
    "grey paper": lambda seven: seven.point(lambda value: 60 + value // 2),
}


@pytest.mark.parametrize("change", KINDS.values(), ids=KINDS.keys())
def test_a_drawn_seven_is_a_seven(client: FlaskClient, drawn_seven: Image.Image, encoded, change) -> None:
    assert best(client, encoded(change(drawn_seven))) == "7"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP"])
def test_every_file_format_gives_the_same_answer(client: FlaskClient, drawn_seven: Image.Image, encoded, kind) -> None:
    assert best(client, encoded(drawn_seven.convert("RGB"), kind)) == "7"


def test_what_is_transparent_counts_as_white(client: FlaskClient, drawn_seven: Image.Image, encoded) -> None:
    ink = ImageOps.invert(drawn_seven)
    picture = Image.new("RGBA", drawn_seven.size, "black")
    picture.putalpha(ink)
    assert best(client, encoded(picture)) == "7"
    grey = Image.new("LA", drawn_seven.size, 0)
    grey.putalpha(ink)
    assert best(client, encoded(grey)) == "7"
    palette = drawn_seven.point(lambda value: 255 * (value > 127)).convert("P")
    assert best(client, encoded(palette, transparency=255)) == "7"


def test_sixteen_bits_are_scaled_and_not_cut(client: FlaskClient, drawn_seven: Image.Image, encoded) -> None:
    dim = drawn_seven.convert("I").point(lambda value: value * 128 + 20_000).convert("I;16")
    assert best(client, encoded(dim)) == "7"


def test_a_picture_is_turned_as_its_camera_says(client: FlaskClient, drawn_seven: Image.Image, encoded) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90° clockwise to look at it
    lying = drawn_seven.transpose(Image.Transpose.ROTATE_90)
    assert best(client, encoded(lying, "JPEG", exif=exif)) == "7"


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_counts(client: FlaskClient, drawn_seven: Image.Image, encoded, kind) -> None:
    others = [Image.new("L", drawn_seven.size, shade) for shade in (0, 90, 200)]
    assert best(client, encoded(drawn_seven, kind, save_all=True, append_images=others)) == "7"


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow says that the data are damaged
def test_damaged_camera_data_do_no_harm(client: FlaskClient, drawn_seven: Image.Image, encoded) -> None:
    element = encoded(drawn_seven, "JPEG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff\x00\x01\x01\x12")
    response = client.post("/score", data=json.dumps({"input": [element]}), content_type="application/json")
    assert response.status_code in (200, 400), response.text


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (1, 300), (300, 1)])
def test_paper_without_ink_has_an_answer_too(client: FlaskClient, encoded, size: tuple[int, int]) -> None:
    assert best(client, encoded(Image.new("L", size, 255))) in "0123456789"
