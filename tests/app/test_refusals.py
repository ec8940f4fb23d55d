"""What /score refuses, and how: problem details that say what to do, and never a 500."""

import base64
import io
import json
import struct
import zlib

import pytest
from flask.testing import FlaskClient
from PIL import Image, PngImagePlugin
from werkzeug.test import TestResponse


def problem(response: TestResponse, status: int) -> dict:
    assert response.status_code == status, response.text
    assert response.content_type == "application/problem+json"
    assert response.json["status"] == status and response.json["title"] and len(response.json["detail"]) > 20
    return response.json


def post(client: FlaskClient, body: str | bytes, content_type: str = "application/json") -> TestResponse:
    return client.post("/score", data=body, content_type=content_type)


BODIES = {
    "nothing": b"",
    "no JSON": b"input=7",
    "half a JSON": b'{"input": ["',
    "not UTF-8": '{"input": ["é"]}'.encode("latin-1"),
    "a list": b'["x"]',
    "a number": b"7",
    "null": b"null",
    "no input": b'{"data": []}',
    "NaN": b'{"input": NaN}',
    "Infinity": b'{"input": [Infinity]}',
    "nested 100,000 deep": b'{"input": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a text nested 100,000 deep": json.dumps({"input": "[" * 100_000}).encode(),
    "a number with 10,000 digits": b'{"input": ' + b"9" * 10_000 + b"}",
    "an empty list": b'{"input": []}',
    "an empty list in a text": b'{"input": "[]"}',
    "an object for input": b'{"input": {}}',
    "a text that is no JSON": b'{"input": "seven"}',
    "a text in a text": b'{"input": "\\"[]\\""}',
    "a NUL": b'{"input": "\\u0000"}',
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_a_body_that_asks_nothing_is_a_400(client: FlaskClient, body: bytes) -> None:
    problem(post(client, body), 400)


ELEMENTS = {
    "a number": 7,
    "null": None,
    "a list": ["x"],
    "an object": {"image": "x"},
    "an empty text": "",
    "an empty wrapping": "b''",
    "not base64": "seven!",
    "not padded": "abc",
    "not ASCII": "ａｂｃｄ",
    "half a surrogate": "\ud800",
    "a data URL": "data:image/png;base64,AAAA",
    "no picture": base64.b64encode(b"Dear model,").decode(),
    "a pickle": base64.b64encode(b"\x80\x04\x95.").decode(),
    "an SVG": base64.b64encode(b"<svg xmlns='http://www.w3.org/2000/svg'/>").decode(),
}


@pytest.mark.parametrize("element", ELEMENTS.values(), ids=ELEMENTS.keys())
def test_one_bad_element_makes_the_whole_a_400_that_names_it(client: FlaskClient, seven: str, element: object) -> None:
    refused = problem(post(client, json.dumps({"input": [seven, element, seven]})), 400)
    assert refused["index"] == 1 and "Element 1" in refused["detail"]


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP"])
def test_a_truncated_picture_is_a_400(client: FlaskClient, drawn_seven: Image.Image, kind: str, kept: float) -> None:
    file = io.BytesIO()
    drawn_seven.convert("RGB").save(file, kind)
    cut = file.getvalue()[: int(len(file.getvalue()) * kept)]
    assert problem(post(client, json.dumps({"input": [base64.b64encode(cut).decode()]})), 400)["index"] == 0


@pytest.mark.parametrize(
    "content_type",
    ["", "text/plain", "multipart/form-data", "application/x-www-form-urlencoded", "application/json; charset=latin-1"],
)
def test_another_content_type_is_a_415(client: FlaskClient, content_type: str) -> None:
    assert "JSON" in problem(post(client, b'{"input": []}', content_type), 415)["detail"].upper()


def test_a_compressed_body_is_a_415(client: FlaskClient) -> None:
    response = client.post("/score", data=zlib.compress(b"{}"), headers={"Content-Encoding": "deflate"}, json=None)
    problem(response, 415)


def bomb(width: int, height: int) -> str:
    """A PNG that says it is width × height, in a few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    png = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1 << 20))) + chunk(b"IEND", b"")
    return base64.b64encode(png).decode()


@pytest.mark.parametrize("size", [(4001, 4000), (20_000, 20_000), (2**31 - 1, 2**31 - 1)])
def test_a_decompression_bomb_is_a_413_and_is_never_decoded(client: FlaskClient, size: tuple[int, int]) -> None:
    refused = problem(post(client, json.dumps({"input": [bomb(*size)]})), 413)
    assert refused["index"] == 0


def test_the_allowance_of_pixels_is_for_all_pictures_together(client: FlaskClient, encoded) -> None:
    large = encoded(Image.new("1", (2900, 2900)))
    assert post(client, json.dumps({"input": [large]})).status_code == 200
    assert problem(post(client, json.dumps({"input": [large, large]})), 413)["index"] == 1


def test_a_text_that_unpacks_to_gigabytes_is_a_400(client: FlaskClient, encoded) -> None:
    notes = PngImagePlugin.PngInfo()
    notes.add_text("story", "a" * (64 << 20), zip=True)
    problem(post(client, json.dumps({"input": [encoded(Image.new("L", (8, 8)), pnginfo=notes)]})), 400)


def test_too_many_pictures_are_a_413(client: FlaskClient, seven: str) -> None:
    assert "8" in problem(post(client, json.dumps({"input": [seven] * 9})), 413)["detail"]


def test_a_body_above_the_limit_is_a_413_that_names_the_limit(client: FlaskClient) -> None:
    assert "16777216" in problem(post(client, bytes(16 * 1024 * 1024 + 1)), 413)["detail"]


def test_a_body_of_unknown_length_is_stopped_at_the_limit(client: FlaskClient) -> None:
    endless = io.BytesIO(bytes(17 * 1024 * 1024))
    chunked = {"wsgi.input": endless, "wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
    response = client.post("/score", content_type="application/json", environ_overrides=chunked)
    problem(response, 413)


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_what_only_python_calls_json_is_a_400_wherever_it_stands(
    client: FlaskClient, seven: str, constant: str
) -> None:
    body = f'{{"input": ["{seven}"], "note": {constant}}}'
    assert f"{constant} is not JSON" in problem(post(client, body), 400)["detail"]


def test_other_addresses_and_methods_are_problems_too(client: FlaskClient) -> None:
    problem(client.get("/nothing/here"), 404)
    refused = client.get("/score")
    assert "POST" in problem(refused, 405)["detail"] and "POST" in refused.headers["Allow"]
    problem(client.open("/score", method="BREW"), 405)
