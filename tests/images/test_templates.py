from tandem.templates import resolve


def test_the_three_templates_are_replaced_wherever_they_stand() -> None:
    text = "--bind={listen} --model {model}/weights -p {port}{port}"
    assert resolve(text, model="/model", port=8000, listen="0.0.0.0:8000") == (
        "--bind=0.0.0.0:8000 --model /model/weights -p 80008000"
    )


def test_every_other_brace_stays() -> None:
    text = '{"a": {}} {0} {{x}} {Model} { port } $'
    assert resolve(text, model="/m", port=1, listen="l") == text


def test_what_is_put_in_is_not_looked_at_again() -> None:
    assert resolve("{model}", model="/odd/{port}", port=1, listen="l") == "/odd/{port}"
