"""The state's file: what is damaged is kept, what is newer is not touched, what is killed is whole."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tandem.errors import StateChanged, TandemError
from tandem.records import State, Versioned
from tandem.targets.state import FileState

ADD = """
import sys; from dataclasses import replace; from pathlib import Path
from tandem.errors import StateChanged; from tandem.records import Versioned; from tandem.targets.state import FileState
states = FileState(Path(sys.argv[1]), "digits", "local")
for number in range(10):
    while True:
        try:
            state = states.read()
            states.write(Versioned(replace(state.value, verified=(*state.value.verified, sys.argv[2])), state.token))
            break
        except StateChanged:
            pass
"""


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'{"schema": 1, "state": {"app"', "holds no state and was left as it is"),
        (b'{"schema": 1, "state": {"app": 3}}', "holds no state and was left as it is"),
        (b"[]", "holds no state"),
        (b'{"schema": 2, "state": {}}', "upgrade"),
    ],
)
def test_a_file_that_is_no_state_is_kept_and_said(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(content)
    with pytest.raises(TandemError, match=says):
        FileState(path, "digits", "local").read()
    assert path.read_bytes() == content


def test_two_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    writers = [subprocess.Popen([sys.executable, "-c", ADD, str(path), name]) for name in ("one", "two")]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    verified = FileState(path, "digits", "local").read().value.verified
    assert (verified.count("one"), verified.count("two")) == (10, 10)


def test_nobody_changes_the_state_while_it_is_held_unchanged(tmp_path: Path) -> None:
    states = FileState(tmp_path / "state.json", "digits", "local")
    with states.unchanged(""):
        writer = subprocess.Popen([sys.executable, "-c", ADD, str(states.path), "late"])
        with pytest.raises(subprocess.TimeoutExpired):
            writer.wait(1)
        assert states.read() == Versioned(State("digits", "local"), "")
    assert writer.wait(60) == 0


def test_a_token_of_a_state_that_came_back_the_same_is_the_same(tmp_path: Path) -> None:
    states = FileState(tmp_path / "state.json", "digits", "local")
    first = states.write(states.read())
    second = states.write(Versioned(replace(first.value, verified=("x",)), first.token))
    assert states.write(Versioned(first.value, second.token)).token == first.token
    with pytest.raises(StateChanged):
        states.write(Versioned(first.value, second.token))
