"""When ranges begin, on a clock of the test's own."""

from collections.abc import Generator, Iterator

import pytest

from tandem.models.ahead import Passed, ReadAhead, Source
from tandem.models.connections import Cord

MIB = 1 << 20
SIZE = 32 * MIB


@pytest.mark.parametrize(
    ("slow", "ranges"),
    [
        ({0, 1, 2}, True),  # from the start, and on
        ({0, 1, 3, 4, 6, 7, 9}, False),  # two moments at a time, as on a busy machine
    ],
)
def test_only_a_reader_that_starves_for_several_windows_gets_ranges(slow: set[int], ranges: bool) -> None:
    now, asked = [0.0], list[int]()

    def stream(position: int, tag: str | None) -> Generator[Passed, None, None]:
        for number in range(position // MIB, SIZE // MIB):
            now[0] += 1.0 if number in slow else 0.0
            yield Passed(bytes(MIB), "tag", SIZE)

    def part(start: int, stop: int, tag: str, cord: Cord) -> Iterator[bytes]:
        asked.append(start)
        yield bytes(stop - start)

    read = 0
    for piece in ReadAhead(window=MIB, length=MIB).read(Source(stream, part), 0, None, lambda: now[0]):
        read += len(piece)
        now[0] += 0.1
    assert (read, bool(asked)) == (SIZE, ranges)
    assert not asked or min(asked) == 3 * MIB
