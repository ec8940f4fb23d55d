"""What only a folder on disk can suffer: no room, links, pipes, leavings, writers in the middle of a file."""

import os
import resource
import signal
from dataclasses import replace

import pytest

from tandem.errors import ModelDamaged, ModelError, ModelRefused, SettingsError
from tandem.models.objects import Objects
from tandem.records import Facts


def test_a_full_disk_is_an_error_that_says_so_and_nothing_is_half(folder, blob, in_child):
    old = folder.store().publish("digits", [blob("w", b"old")], Facts())

    def publish():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
        with pytest.raises(ModelError, match=r"no room for .*weights\.bin .*: free some, then repeat"):
            folder.store().publish("digits", [blob("weights.bin", bytes(3 << 20))], Facts())

    assert in_child(publish)() == 0
    assert list(folder.store().versions("digits")) == [old]
    assert not [file for file in (folder.root / "store").rglob("*") if file.is_file() and file.stat().st_size > 1000]
    assert folder.store().publish("digits", [blob("weights.bin", bytes(3 << 20))], Facts()).version != old.version


def test_what_a_killed_writer_left_is_swept_and_a_living_writers_is_not(folder, in_child, die):
    objects: Objects = folder.objects()

    def killed():
        yield b"half"
        die()

    assert in_child(lambda: objects.write("a", killed(), 8))() == -signal.SIGKILL
    incoming = folder.root / "store" / ".incoming"
    assert len(list(incoming.iterdir())) == 1

    def living():
        yield b"half"
        folder.put("b", b"another")
        assert len(list(incoming.iterdir())) == 1
        yield b"whole"

    objects.write("c", living(), 9)
    assert list(incoming.iterdir()) == []
    assert (folder.root / "store" / "c").read_bytes() == b"halfwhole"


def test_a_file_that_is_written_while_it_is_read_is_refused(folder):
    folder.put("digits/w", bytes(4 << 20))
    [model] = folder.store("modified").versions("digits")
    pieces = model.files[0].open(0)
    next(pieces)
    with (folder.root / "store/digits/w").open("ab") as file:
        file.write(b"more")
    with pytest.raises(ModelDamaged, match="digits/w is being written"):
        list(pieces)


def test_a_link_inside_the_store_is_followed(folder):
    folder.put("digits-7/model.onnx", b"net")
    (folder.root / "store/latest").symlink_to("digits-7")
    [model] = folder.store("modified").versions("latest")
    assert b"".join(model.files[0].open(0)) == b"net"


@pytest.mark.parametrize("target", ["/etc", "/etc/passwd", "..", "."])
def test_a_link_that_leaves_the_store_or_goes_round_is_refused(folder, target):
    folder.put("digits/model.onnx", b"net")
    (folder.root / "store/digits/link").symlink_to(target)
    with pytest.raises(ModelRefused, match=r"is a link (that leaves|to a folder that holds it)"):
        list(folder.store("modified").versions("digits"))


def test_a_pipe_is_refused_and_not_waited_for(folder):
    folder.put("digits/model.onnx", b"net")
    os.mkfifo(folder.root / "store/digits/pipe")
    with pytest.raises(ModelRefused, match="pipe is not a regular file"):
        list(folder.store("modified").versions("digits"))


def test_an_absolute_url_names_the_same_folder(folder, blob):
    folder.store().publish("digits", [blob("w", b"one")], Facts())
    absolute = replace(folder, url=f"file://{folder.root}/store", root=folder.root / "elsewhere")
    assert list(absolute.store().versions("digits")) == list(folder.store().versions("digits"))


@pytest.mark.parametrize(
    ("url", "says"), [("ftp://x/y", "known are file"), ("file://", "file:///"), ("/x", "known are")]
)
def test_a_url_that_names_no_store_says_which_do(folder, url, says):
    with pytest.raises(SettingsError, match=says):
        replace(folder, url=url).store()
