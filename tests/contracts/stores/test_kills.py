"""Publishers that die, and publishers that race: nothing is lost, doubled or half."""

import signal
from dataclasses import dataclass

import pytest

from tandem.models.objects import Objects
from tandem.models.store import PublishedStore
from tandem.records import Facts

STEPS = ["first file", "middle of a file", "second file", "manifest", "pointer", "after the pointer"]


@dataclass(frozen=True)
class Mortal:
    """The place, for a publisher that dies just before a step, or after the last one."""

    objects: Objects
    step: str
    die: object

    def __getattr__(self, name):
        return getattr(self.objects, name)

    def write(self, path, pieces, size):
        self.reached("first file" if path.endswith("/a.bin") else "second file")
        self.objects.write(path, self.dying(pieces), size)

    def dying(self, pieces):
        for piece in pieces:
            yield piece
            self.reached("middle of a file")

    def put(self, path, content, token):
        self.reached("pointer" if path.endswith("latest.json") else "manifest")
        put = self.objects.put(path, content, token)
        if path.endswith("latest.json"):
            self.reached("after the pointer")
        return put

    def reached(self, step):
        if step == self.step:
            self.die()


@pytest.mark.parametrize("step", STEPS)
def test_a_killed_publish_is_invisible_and_a_repeat_makes_it_whole(place, blob, in_child, die, step):
    files = [blob("a.bin", b"a" * 100_000), blob("b.bin", b"b" * 100_000)]
    old = place.store().publish("digits", [blob("w", b"old")], Facts())
    publisher = PublishedStore(Mortal(place.objects(), step, die), lambda: place.morning)
    assert in_child(lambda: publisher.publish("digits", files, Facts()))() == -signal.SIGKILL
    seen = [model.version for model in place.store().versions("digits")]
    assert seen[-1] == old.version
    assert len(seen) == (2 if step == "after the pointer" else 1)
    new = place.store().publish("digits", files, Facts())
    assert [model.version for model in place.store().versions("digits")] == [new.version, old.version]
    assert [b"".join(file.open(0))[:2] for file in new.files] == [b"aa", b"bb"]


def test_publishers_that_race_all_end_in_the_list(place, blob, in_child):
    def publish(publisher):
        for each in range(5):
            place.store().publish("digits", [blob("w", f"{publisher} {each}".encode())], Facts(), by=publisher)

    racing = [in_child(lambda publisher=publisher: publish(publisher)) for publisher in ("ada", "bob")]
    assert [wait() for wait in racing] == [0, 0]
    models = list(place.store().versions("digits"))
    assert len({model.version for model in models}) == len(models) == 10
    for publisher in ("ada", "bob"):
        mine = [b"".join(model.files[0].open(0)).decode() for model in models if model.by == publisher]
        assert mine == [f"{publisher} {each}" for each in (4, 3, 2, 1, 0)]


def test_two_publishers_of_the_same_model_make_one_version(place, blob, in_child):
    files = [blob("w", b"w" * 1_000_000)]
    racing = [in_child(lambda: place.store().publish("digits", files, Facts())) for _ in range(3)]
    assert [wait() for wait in racing] == [0, 0, 0]
    [model] = place.store().versions("digits")
    assert sum(map(len, model.files[0].open(0))) == 1_000_000
