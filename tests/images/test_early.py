"""Small files that share a layer are asked for before their turn, a bounded few, and come in their order."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from tandem.errors import ModelDamaged, Unreachable
from tandem.images.carry import carry_layers
from tandem.images.early import AHEAD, SMALL, early
from tandem.manifests import blob_of
from tandem.records import Blob, Model
from tandem.registries import open_registry


class Asked(list[str]):
    """The names of files that were opened, in order; `files` of that many bytes each."""

    def files(self, *sizes: int) -> list[Blob]:
        return [self.file(f"{number}.bin", size) for number, size in enumerate(sizes)]

    def file(self, name: str, size: int) -> Blob:
        def read(offset: int) -> Iterator[bytes]:
            self.append(name)
            yield from (name[:1].encode() * (size - offset),) if size > offset else ()

        return Blob(name, size, None, read)


def test_the_next_files_are_asked_for_while_one_is_read(tmp_path: Path) -> None:
    together = Barrier(AHEAD)

    def slow(content: bytes, name: str) -> Blob:
        def read(offset: int) -> Iterator[bytes]:
            together.wait(60)  # none of them comes before all were asked for
            yield content[offset:]

        return Blob(name, len(content), blob_of(content, name).sha256, read)

    files = (blob_of(b"first", "a"), *(slow(b"%d" % number * 9, f"b{number}") for number in range(AHEAD)))
    carried = carry_layers(Model("words", "a" * 64, files), "/model", open_registry("oci:r", tmp_path), {}).carried
    assert len(carried) == 1


def test_what_waits_for_its_turn_is_bounded_in_number_and_size() -> None:
    asked = Asked()
    with ThreadPoolExecutor(9) as pool:
        files = early(asked.files(3, SMALL, SMALL + 1, 0, 3, 3, 3), pool)
        assert next(files[0].open(0)) == b"000"
    assert sorted(asked) == ["0.bin", "1.bin", "4.bin"]  # not the large one, not the empty one, and four ahead at most


def test_each_file_is_read_once_and_gives_its_own_bytes_from_any_offset() -> None:
    asked = Asked()
    with ThreadPoolExecutor(9) as pool:
        files = early(asked.files(3, 4, SMALL + 1, 5), pool)
        assert [b"".join(file.open(0)) for file in files[:3]] == [b"000", b"1111", b"2" * (SMALL + 1)]
        assert b"".join(files[3].open(2)) == b"333"
        assert sorted(asked) == ["0.bin", "1.bin", "2.bin", "3.bin"]
        assert b"".join(files[1].open(1)) == b"111"  # as an upload does that goes on after it was cut


def test_what_is_wrong_with_a_file_is_said_at_its_turn() -> None:
    def broken(offset: int) -> Iterator[bytes]:
        raise Unreachable("b.bin: gone")
        yield b""

    with ThreadPoolExecutor(9) as pool:
        first, second = early([*Asked().files(3), Blob("b.bin", 3, None, broken)], pool)
        assert b"".join(first.open(0)) == b"000"
        with pytest.raises(Unreachable, match=r"b\.bin: gone"):
            next(second.open(0))


@pytest.mark.parametrize("content", [b"", b"bb", b"bbbb"])
def test_a_file_that_came_early_and_is_not_as_long_as_it_should_be_does_not_ride(
    tmp_path: Path, content: bytes
) -> None:
    def read(offset: int) -> Iterator[bytes]:
        yield content[offset:]

    model = Model("words", "a" * 64, (blob_of(b"aaa", "a"), Blob("b", 3, None, read)))
    with pytest.raises(ModelDamaged, match=r"b gave \d+ bytes, and its model manifest says 3 bytes"):
        carry_layers(model, "/model", open_registry("oci:r", tmp_path), {})


def test_a_file_that_grew_without_end_is_not_held() -> None:
    given = []

    def read(offset: int) -> Iterator[bytes]:
        while len(given) < 99:
            given.append(piece := bytes(3))
            yield piece

    with ThreadPoolExecutor(9) as pool:
        first, second = early([*Asked().files(3), Blob("b.bin", 3, None, read)], pool)
        next(first.open(0))
        assert len(b"".join(second.open(0))) == 6 and len(given) == 2
