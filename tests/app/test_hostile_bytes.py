"""A bounded, repeatable storm of damaged questions: whatever comes, the server never answers 500."""

import base64
import json
import random

import pytest
from flask.testing import FlaskClient
from PIL import Image

ALLOWED = {200, 400, 413, 415}


@pytest.mark.filterwarnings("ignore")  # decoders warn about damage, which is all that there is here
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP"])
def test_damaged_pictures_never_break_the_server(client: FlaskClient, drawn_seven: Image.Image, encoded, kind) -> None:
    dice = random.Random(f"pictures, {kind}")
    honest = base64.b64decode(encoded(drawn_seven.resize((64, 64)).convert("RGB"), kind))
    for _ in range(150):
        damaged = bytearray(honest)
        for _ in range(dice.choice((1, 1, 3, 20))):
            # Headers decide what a decoder does: most of the damage goes there.
            at = dice.randrange(min(len(damaged), dice.choice((40, 40, len(damaged)))))
            damaged[at] = dice.choice((0, 1, 0x7F, 0x80, 0xFF, dice.randrange(256)))
        kept = dice.choice((len(damaged), dice.randrange(1, len(damaged))))
        element = base64.b64encode(bytes(damaged[:kept])).decode()
        response = client.post("/score", json={"input": [element]})
        assert response.status_code in ALLOWED, (damaged.hex(), response.text)


def test_damaged_bodies_never_break_the_server(client: FlaskClient, seven: str) -> None:
    dice = random.Random("bodies")
    honest = json.dumps({"input": [seven, f"b'{seven}'"]}).encode()
    for _ in range(400):
        damaged = bytearray(honest)
        for _ in range(dice.choice((1, 2, 5))):
            at = dice.randrange(len(damaged))
            damaged[at : at + dice.choice((0, 1, 4))] = dice.choice((b"", b'"', b"[", b"]", b"{", b"\\", b"\xff", b"'"))
        response = client.post("/score", data=bytes(damaged), content_type="application/json")
        assert response.status_code in ALLOWED, (bytes(damaged), response.text)


def test_values_of_any_kind_never_break_the_server(client: FlaskClient, seven: str) -> None:
    dice = random.Random("values")

    def value(depth: int) -> object:
        choices = [None, True, -1, 0.5, 10**400, "", "b'", "b''", "[[", "\x00", "7" * 50, seven, f'["{seven}"]']
        if depth < 4 and dice.random() < 0.6:
            several = [value(depth + 1) for _ in range(dice.randrange(4))]
            return dice.choice((several, dict.fromkeys(["input", "", "x"], several)))
        return dice.choice(choices)

    for _ in range(300):
        body = dice.choice((value(0), {"input": value(0)}, {"input": json.dumps(value(1))}))
        response = client.post("/score", json=body)
        assert response.status_code in ALLOWED, (body, response.text)
