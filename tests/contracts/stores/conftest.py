"""Where the contract is tried: each place a store can lie in is one fixture, and a name in `place`."""

import os
import signal
import stat
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

import pytest

from tandem.models import BACKENDS, open_store
from tandem.models.objects import Objects
from tandem.records import Blob
from tandem.seams import Store
from tandem.settings import ModelSettings

NOBODY = 65534
YEARS = 10 * 365 * 86400.0  # so that what is put there now is newer


@dataclass(frozen=True)
class Place:
    """A place of this test's own. `forbidden()`: as long as it lasts, this process may not write there;
    `remove(path)`; `age(path, seconds)`: it was last changed that long before a fixed moment.
    """

    url: str
    root: Path
    forbidden: Callable[[], AbstractContextManager[None]]
    remove: Callable[[str], None]
    age: Callable[[str, float], None]
    morning: ClassVar[datetime] = datetime(2030, 1, 1, 6, 0, tzinfo=UTC)

    def store(self, newest: str = "published", now: Callable[[], datetime] = lambda: Place.morning) -> Store:
        """Opened afresh, as another process would."""
        settings = ModelSettings.model_validate({"store": self.url, "name": "digits", "newest": newest})
        return open_store(settings, self.root, now)

    def objects(self) -> Objects:
        """What lies beneath it."""
        return BACKENDS[self.url.partition(":")[0]](self.url, self.root)

    def put(self, path: str, content: bytes) -> None:
        """An object that somebody puts there by other means than ours."""
        self.objects().write(path, iter([content] if content else []), len(content))


@pytest.fixture
def folder(tmp_path: Path) -> Place:
    """`file://`, relative."""
    store = tmp_path / "store"

    @contextmanager
    def forbidden() -> Iterator[None]:
        store.mkdir(exist_ok=True)
        mode, root = stat.S_IMODE(store.stat().st_mode), os.geteuid() == 0
        store.chmod(0o500)
        if root:  # whom modes do not stop
            os.seteuid(NOBODY)
        try:
            yield
        finally:
            if root:
                os.seteuid(0)
            store.chmod(mode)

    def age(path: str, seconds: float) -> None:
        moment = Place.morning.timestamp() - seconds - YEARS
        os.utime(store / path, (moment, moment))

    return Place("file://store", tmp_path, forbidden, lambda path: (store / path).unlink(), age)


@pytest.fixture(params=["folder"])
def place(request: pytest.FixtureRequest) -> Place:
    """A place of this test's own in which a store can lie; each backend in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def blob() -> Callable[..., Blob]:
    """blob("weights.bin", b"…") as a publisher hands it over; sha256 may be given, and may be a lie."""

    def blob(name: str, content: bytes, sha256: str | None = None) -> Blob:
        return Blob(name, len(content), sha256, lambda offset: iter([content[offset:]]))

    return blob


@pytest.fixture
def in_child() -> Callable[[Callable[[], object]], Callable[[], int]]:
    """in_child(work) begins it in a forked process; calling what comes back waits and gives its exit status.

    0: it ended; 1: it raised, and stderr says what; a negative number: the signal that killed it.
    """

    def begin(work: Callable[[], object]) -> Callable[[], int]:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                work()
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        return lambda: os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    return begin


@pytest.fixture
def die() -> Callable[[], None]:
    """Ends this process as a power cut would."""
    return lambda: os.kill(os.getpid(), signal.SIGKILL)
