"""What others wrote comes out harmless, and a message stays short enough for every service."""

import pytest

from tandem.messages.message import Message, harmless

HOSTILE = [
    "Fix\x1b[31m the \x00 thing",
    "right\u202eto left",
    "zero\u200bwidth \ufeff",
    "two\nlines\r\nand three",
]


def message(**parts: object) -> Message:
    return Message(**({"kind": "released", "title": "t", "what": "w"} | parts))


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_invisible_passes(text: str) -> None:
    for shown in (harmless(text, 100), message(title=text).subject):
        assert shown.isprintable()


@pytest.mark.parametrize("call", ["@everyone", "@here look", "(@channel)", "hello @ann"])
def test_nobody_is_called_by_a_commits_subject(call: str) -> None:
    name = call.partition("@")[2]
    assert f"@{name}" not in harmless(call, 100) and name in harmless(call, 100)


@pytest.mark.parametrize("text", ["ann@example.org", "registry.example.org/digits@sha256:0a1b"])
def test_addresses_and_digests_can_still_be_copied(text: str) -> None:
    assert harmless(text, 100) == text


def test_a_password_in_an_errors_url_is_not_passed_on() -> None:
    said = message(why="git: https://ann:hunter2@git.example.org/x.git: no access").text()
    assert "hunter2" not in said and "git.example.org" in said


def test_a_flood_is_cut_and_says_so() -> None:
    long = message(what="x" * 10_000, why="\n".join(f"line {n} {'y' * 500}" for n in range(5000)))
    assert len(message(title="z" * 500).subject) <= 110
    assert "and 4993 lines more" in long.text() and len(long.text()) < 4000


def test_html_does_nothing_but_show() -> None:
    html = message(what="<script>x</script> & <!channel>", links=(("A <b>", 'http://x/"onclick="y'),)).html()
    assert "<script" not in html and "<!channel" not in html and '"onclick' not in html


def test_an_empty_part_is_left_out() -> None:
    text = message(next="do", commands=("tandem status digits",), links=(("The run", "http://x"),)).text()
    assert text.splitlines() == ["What: w", "Next: do", "    tandem status digits", "The run: http://x"]
