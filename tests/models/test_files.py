"""A data scientist's folder, on its way to be published."""

import os

import pytest

from tandem.errors import ModelDamaged, ModelRefused
from tandem.models import facts_of, files_of
from tandem.records import Facts


@pytest.fixture
def folder(tmp_path):
    """folder({"path": b"content"}) on disk."""

    def folder(files):
        for name, content in files.items():
            file = tmp_path / "model" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        return tmp_path / "model"

    return folder


def test_all_files_below_it_by_their_paths(folder):
    blobs = files_of(folder({"model.onnx": b"net", "data/w": b"w", "a.txt": b""}))
    assert [(blob.name, blob.size, blob.sha256) for blob in blobs] == [
        ("a.txt", 0, None),
        ("data/w", 1, None),
        ("model.onnx", 3, None),
    ]
    assert b"".join(blobs[2].open(1)) == b"et"


def test_hidden_files_are_left_out_and_named(folder, caplog):
    blobs = files_of(folder({"w": b"w", ".DS_Store": b"", ".git/config": b""}))
    assert [blob.name for blob in blobs] == ["w"]
    assert {record.getMessage() for record in caplog.records} == {"left out .DS_Store: hidden", "left out .git: hidden"}


@pytest.mark.parametrize("files", [{".hidden": b""}, {"sub/.hidden": b""}])
def test_a_folder_with_nothing_to_publish_is_refused(folder, files):
    with pytest.raises(ModelRefused, match="holds no file"):
        files_of(folder(files))


def test_what_is_no_folder_is_refused(folder, tmp_path):
    with pytest.raises(ModelRefused, match="is no folder: name the one"):
        files_of(tmp_path / "gone")
    with pytest.raises(ModelRefused, match="is no folder: name the one"):
        files_of(folder({"w": b"w"}) / "w")


def test_a_link_inside_is_followed_and_one_that_leaves_is_refused(folder, tmp_path):
    model = folder({"w": b"weights"})
    (model / "again").symlink_to("w")
    assert b"".join(files_of(model)[0].open(0)) == b"weights"
    (tmp_path / "secret").write_bytes(b"key")
    (model / "leaves").symlink_to("../secret")
    with pytest.raises(ModelRefused, match=r"leaves is a link that leaves .*: put a copy in its place"):
        files_of(model)


def test_a_link_to_nothing_and_a_name_that_is_not_utf8_are_refused(folder):
    model = folder({"w": b"weights"})
    (model / "link").symlink_to("gone")
    with pytest.raises(ModelDamaged, match="link to nothing"):
        files_of(model)
    (model / "link").unlink()
    (model / os.fsdecode(b"\xff")).write_bytes(b"")
    with pytest.raises(ModelRefused, match="not UTF-8"):
        files_of(model)


def test_a_file_that_changes_before_it_is_read_is_refused(folder):
    model = folder({"w": b"weights"})
    [blob] = files_of(model)
    os.utime(model / "w", (1, 1))
    with pytest.raises(ModelDamaged, match="w was changed since it was looked at"):
        list(blob.open(0))


def test_metrics_json_holds_the_metrics(folder):
    assert facts_of(files_of(folder({"w": b""}))) == Facts()
    assert facts_of(files_of(folder({"metrics.json": b'{"accuracy": 0.97, "n": 3}'}))) == Facts(
        {"accuracy": 0.97, "n": 3.0}
    )


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"{", "is not JSON"),
        (b"[1]", "must be an object of names and numbers"),
        (b'{"val": {"accuracy": 1}}', "'val' is nested: each metric is one finite number"),
        (b'{"a": [1]}', "'a' is nested"),
        (b'{"a": "0.9"}', "'a' is '0.9'"),
        (b'{"a": true}', "'a' is True"),
        (b'{"a": NaN}', "'a' is nan"),
        (b'{"a": 1e999}', "'a' is inf"),
        (b"\xff", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b" " * (1 << 20) + b"{}", "1048576 at most"),
    ],
)
def test_metrics_that_are_no_numbers_are_refused(folder, content, says):
    with pytest.raises(ModelRefused, match=f"metrics.json.* {says}"):
        facts_of(files_of(folder({"metrics.json": content})))
