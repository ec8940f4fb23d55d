"""An environment's state in a file, changed by compare-and-swap (the file's SHA-256 is the token).

The document is `{"schema": 1, "state": {…}}`, canonical JSON; a state kept elsewhere has the same form.
"""

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from pydantic import ValidationError

from tandem.documents import adapter, canonical
from tandem.errors import StateChanged, TandemError, Unreachable
from tandem.records import State, Versioned

SCHEMA = 1
LOCK_PATIENCE = 90.0  # seconds; the lock is held for the moment of a write or a swap, or until an app has ended


def encode(state: State) -> bytes:
    """The state as its document's bytes: equal states, equal bytes."""
    return canonical({"schema": SCHEMA, "state": adapter(State).dump_python(state, mode="json")})


def decode(content: bytes, where: str) -> State:
    """The state of a document's bytes; TandemError, saying where it stands and what to do, if they hold none."""
    try:
        document = json.loads(content)
        schema = document["schema"]
        if schema == SCHEMA:
            state: State = adapter(State).validate_python(document["state"])
            return state
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise TandemError(
            f"{where} holds no state and was left as it is: {' '.join(str(error).split())[:300]}: "
            "put a copy back from a backup, or move it away to begin with an empty state"
        ) from None
    raise TandemError(
        f"{where} was written by a newer Tandem (schema {schema}, this one knows {SCHEMA}): upgrade Tandem"
    )


def standing(state: State) -> tuple[str | None, str | None]:
    """Which release is under way, and which is current: while both stay, a release may go on.

    Blocks and approvals that others record meanwhile are none of its business.
    """
    under_way, current = state.under_way, state.current
    return under_way.release.id if under_way else None, current.id if current else None


class FileState:
    """One environment's state in `path`. Beside it lies `path`.lock, held for the moment of a change."""

    def __init__(self, path: Path, app: str, environment: str) -> None:
        self.path, self.app, self.environment = path, app, environment

    def read(self) -> Versioned[State]:
        """What is stored, with its token; an empty state with the token "" where nothing is."""
        content = self._content()
        if content is None:
            return Versioned(State(self.app, self.environment), "")
        return Versioned(decode(content, str(self.path)), _token(content))

    def write(self, state: Versioned[State]) -> Versioned[State]:
        """Store `state.value` if the stored token is still `state.token`; else StateChanged. Whole or not at all."""
        content = encode(state.value)
        with self.unchanged(state.token):
            self._replace(content)
        return Versioned(state.value, _token(content))

    @contextmanager
    def unchanged(self, token: str) -> Iterator[None]:
        """Keep everybody else from changing the state meanwhile; StateChanged if its token is another already."""
        with self._lock():
            content = self._content()
            if (_token(content) if content is not None else "") != token:
                raise StateChanged(
                    f"{self.app} in {self.environment}: the state was changed since it was read ({self.path}): "
                    "somebody else released or blocked meanwhile; look with 'tandem status' and try again"
                )
            yield

    @contextmanager
    def held(self, expected: State) -> Iterator[None]:
        """Keep everybody else from changing the state meanwhile; StateChanged if another release stands there."""
        with self._lock():
            if standing(self.read().value) != standing(expected):
                raise StateChanged(
                    f"{self.app} in {self.environment}: another release began or ended meanwhile ({self.path}): "
                    "look with 'tandem status' and try again"
                )
            yield

    def _lock(self) -> AbstractContextManager[None]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return _locked(self.path.with_name(f"{self.path.name}.lock"))

    def _content(self) -> bytes | None:
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return None

    def _replace(self, content: bytes) -> None:
        new = self.path.with_name(f"{self.path.name}.new")
        with new.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _token(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    deadline = time.monotonic() + LOCK_PATIENCE
    with path.open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Unreachable(f"{path} has been locked for {LOCK_PATIENCE:.0f} s by another process") from None
                time.sleep(0.01)
        yield
