"""Large files into a cloud's store: in parts, by several writers, killed and repeated."""

import random
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from tandem.errors import SettingsError
from tandem.records import Facts

BIG = random.Random(2).randbytes((12 << 20) + 5)


@pytest.fixture(params=["azure", "s3"])
def cloud(request):
    return request.getfixturevalue(request.param)


def test_a_large_file_travels_in_parts_and_comes_back_from_any_offset(cloud, blob):
    model = cloud.store().publish("digits", [blob("w", BIG)], Facts())
    assert b"".join(model.files[0].open(0)) == BIG
    assert b"".join(model.files[0].open(len(BIG) - 7)) == BIG[-7:]
    assert b"".join(model.files[0].open(len(BIG))) == b""


def test_writers_of_the_same_large_file_make_one_version(cloud, blob, in_child):
    racing = [in_child(lambda: cloud.store().publish("digits", [blob("w", BIG)], Facts())) for _ in range(2)]
    assert [wait() for wait in racing] == [0, 0]
    [model] = cloud.store().versions("digits")
    assert b"".join(model.files[0].open(0)) == BIG


def test_a_large_file_whose_source_fails_leaves_nothing(cloud, request):
    def failing():
        yield BIG[: 6 << 20]
        raise ConnectionResetError("the source broke")

    with pytest.raises(ConnectionResetError):
        cloud.objects().write("w", failing(), len(BIG))
    assert list(cloud.objects().list("")) == []
    if cloud.url.startswith("s3:"):
        assert "Uploads" not in request.getfixturevalue("s3_owner").list_multipart_uploads(
            Bucket=cloud.url.split("/")[2]
        )


def test_a_killed_writer_of_a_large_file_is_invisible_and_a_repeat_makes_it_whole(cloud, in_child, die):
    def dying():
        yield BIG[: 11 << 20]
        die()

    objects = cloud.objects()
    assert in_child(lambda: objects.write("w", dying(), len(BIG)))() == -signal.SIGKILL
    assert list(objects.list("")) == []
    objects.write("w", iter([BIG]), len(BIG))
    assert b"".join(objects.read("w")) == BIG


def test_names_with_every_printable_character_come_back(cloud):
    names = ["a b", "100%", "a%20b", "x+y=z", "#1", "q?", "ä€", "~t'(1)!*", "a:b@c&d;e,f$", '"q"', "[0]{1}^`|<>"]
    objects = cloud.objects()
    for name in names:
        objects.write(f"d/{name}", iter([name.encode()]), len(name.encode()))
    assert sorted(entry.path for entry in objects.list("d/")) == sorted(f"d/{name}" for name in names)
    assert [b"".join(objects.read(f"d/{name}")).decode() for name in names] == names


def test_the_date_of_a_change_is_the_stores(cloud):
    cloud.put("w", b"one")
    [entry] = cloud.objects().list("w")
    [again] = cloud.objects().list("")
    assert entry == again
    assert entry.modified.tzinfo is not None
    assert abs(entry.modified.timestamp() - Path(cloud.root).stat().st_ctime) < 120


AZURE = "azure-blob:https://models.blob.core.windows.net"


@pytest.mark.parametrize(
    "url",
    [
        "azure-blob:", "azure-blob:https://models.blob.core.windows.net", f"{AZURE}/UPPER", f"{AZURE}/a--b",
        "azure-blob:ftp://models.blob.core.windows.net/c", f"{AZURE}/c/p?sig=S3CR3T", "azure-blob:https://me:S3CR3T@h/a/c",
        "s3://", "s3://UPPER/x", "s3:bucket", "s3://k:S3CR3T@bucket/p", "s3://bucket?secret=S3CR3T",
        "s3://bucket?endpoint=here", "s3://bucket?endpoint=https://k:S3CR3T@here",
    ],
)  # fmt: skip
def test_a_url_that_names_no_container_says_how_one_looks_and_never_a_secret(folder, url):
    with pytest.raises(SettingsError, match=r"\[model\].store") as caught:
        replace(folder, url=url).store()
    assert "S3CR3T" not in str(caught.value)
