"""What a release would change, a line a field."""

from tandem.targets.kubernetes.changes import changes
from tandem.targets.kubernetes.objects import Json


def body(spec: Json, **metadata: str) -> Json:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", **metadata}, "spec": spec}


def test_each_field_is_a_line_with_what_was_and_what_comes() -> None:
    old = body({"list": [{"name": "app", "image": "one"}], "gone": 1, "same": True}, resourceVersion="1")
    new = body({"list": [{"name": "app", "image": "two"}], "new": "x" * 300, "same": True}, resourceVersion="2")
    said = list(changes(old, new))
    assert said[0] == "Deployment/a spec.gone: 1 → nothing"
    assert said[1] == 'Deployment/a spec.list[app].image: "one" → "two"'
    assert said[2].startswith("Deployment/a spec.new: nothing → ") and said[2].endswith("…") and len(said) == 3
    assert list(changes(None, new)) == ["Deployment/a: new"] and list(changes(old, old)) == []
