"""Calls that were seen before."""

from collections import OrderedDict
from threading import Lock


class Replays:
    """The marks of the last `most` calls that were taken; the oldest are forgotten first."""

    def __init__(self, most: int = 20_000) -> None:
        self._most, self._lock = most, Lock()
        self._marks: OrderedDict[tuple[str, str], None] = OrderedDict()

    def seen(self, sender: str, mark: str) -> bool:
        """Whether this very call was taken before."""
        return (sender, mark) in self._marks

    def add(self, sender: str, mark: str) -> None:
        """Remember a call that was taken."""
        with self._lock:
            self._marks[sender, mark] = None
            while len(self._marks) > self._most:
                self._marks.popitem(last=False)
