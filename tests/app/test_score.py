"""POST /score: what is answered, and to which forms of a question."""

import json
import re

import pytest
from flask.testing import FlaskClient


def labels(answer: dict) -> list[str]:
    return [best[0][0] for best in answer["result"][0]]


def test_one_picture_has_exactly_the_answer_that_clients_know(client: FlaskClient, seven: str) -> None:
    response = client.post("/score", json={"input": [seven]})
    assert response.status_code == 200
    assert response.content_type == "application/json"
    pattern = r'\{"result":\[\[\[\["7",[\d.]+\],\["\d",[\d.]+\],\["\d",[\d.]+\]\]\],"Computed in \d+\.\d\d ms"\]\}'
    assert re.fullmatch(pattern, response.text), response.text


def test_percents_have_two_decimals_and_the_best_comes_first(client: FlaskClient, seven: str) -> None:
    best = client.post("/score", json={"input": [seven]}).json["result"][0][0]
    percents = [percent for _, percent in best]
    assert percents == sorted(percents, reverse=True)
    assert all(percent == round(percent, 2) and 0 <= percent <= 100 for percent in percents)
    assert percents[0] > 50 and sum(percents) <= 100.01


def test_each_picture_has_its_own_list(client: FlaskClient, seven: str) -> None:
    answer = client.post("/score", json={"input": [seven, seven, seven]}).json
    assert labels(answer) == ["7", "7", "7"]


@pytest.mark.parametrize(
    "form",
    [
        pytest.param(lambda seven: [f"b'{seven}'"], id="an element wrapped as bytes are printed"),
        pytest.param(lambda seven: json.dumps([seven]), id="a JSON string that holds the list"),
        pytest.param(lambda seven: json.dumps([f"b'{seven}'"]), id="both, as the oldest clients do"),
        pytest.param(lambda seven: [seven[:76] + "\r\n" + seven[76:] + "\n"], id="base64 in folded lines"),
    ],
)
def test_what_older_clients_send_is_understood(client: FlaskClient, seven: str, form) -> None:
    assert labels(client.post("/score", json={"input": form(seven)}).json) == ["7"]


def test_a_charset_that_says_utf_8_is_fine(client: FlaskClient, seven: str) -> None:
    body = json.dumps({"input": [seven]})
    response = client.post("/score", data=body, content_type="application/json; charset=UTF-8")
    assert response.status_code == 200


def test_the_answer_says_which_commit_and_model_gave_it(client: FlaskClient, seven: str) -> None:
    headers = client.post("/score", json={"input": [seven]}).headers
    assert (headers["X-Commit"], headers["X-Model"]) == ("c0ffee", "digits 0123")
