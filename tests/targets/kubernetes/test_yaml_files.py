"""The app's YAML, read as kubectl reads it."""

import pytest

from tandem.errors import ReleaseFailed
from tandem.targets.kubernetes.objects import File, Json
from tandem.targets.kubernetes.yaml_files import read

HEAD = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: rules}\n"


def one(text: str) -> Json:
    (found,) = read([File("a.yaml", (HEAD + text).encode())], "here")
    return found.body


@pytest.mark.parametrize("written", ["2026-01-01", "12:30", "12:30:45", "1:30.5", "=", "2026-01-01T00:00:00Z"])
def test_what_go_takes_for_a_text_is_one(written: str) -> None:
    assert one(f"data: {{a: {written}}}")["data"] == {"a": written}


@pytest.mark.parametrize(
    ("written", "read_as"), [("yes", True), ("off", False), ("0x10", 16), ("1.5", 1.5), ("~", None)]
)
def test_what_yaml_1_1_takes_for_something_else_is_that(written: str, read_as: object) -> None:
    assert one(f"data: {{a: {written}}}")["data"] == {"a": read_as}


def test_anchors_and_merge_keys_are_followed() -> None:
    assert one("x: &x {a: 1, b: 2}\ndata: {<<: *x, b: 3}")["data"] == {"a": 1, "b": 3}


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("data: {? [a, b] : c}", "a key must be a text"),
        ("data: &a [*a]", "not YAML"),
        ("data: {a: .nan}", "not YAML"),
        ("data: !!binary aGk=", "not YAML"),
        ("data: !!python/object/apply:os.system [id]", "not YAML"),
        ("data: {a: 1, a: 2}", "the key 'a' stands twice"),
        ("\x00", "not YAML"),
    ],
)
def test_what_is_no_json_is_a_mistake_with_its_place(written: str, said: str) -> None:
    with pytest.raises(ReleaseFailed, match=said) as failed:
        one(written)
    assert failed.value.fault == "candidate" and failed.value.reason.startswith("a.yaml: ")


def test_bytes_that_are_no_text_are_a_mistake() -> None:
    with pytest.raises(ReleaseFailed, match=r"a\.yaml: not YAML"):
        read([File("a.yaml", b"\xff\xfe\xfa")], "here")


def test_a_list_is_taken_apart_and_empty_documents_are_none() -> None:
    text = "---\n---\napiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n"
    (found,) = read([File("a.yaml", text.encode())], "here")
    assert (found.ref.name, found.where) == ("a", "a.yaml, document 2, item 1")


def test_an_environments_own_object_takes_the_place_of_the_folders() -> None:
    own = File("local/a.yaml", (HEAD + "data: {a: own}").encode(), overlay=True)
    found = read([own, File("a.yaml", (HEAD + "data: {a: all}").encode())], "here")
    assert [each.body["data"]["a"] for each in found] == ["own"]
