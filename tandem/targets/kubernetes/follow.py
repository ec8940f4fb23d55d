"""Objects kept up to date by list and watch, in a thread a kind; a cut, a silence, an old version cost a new list.

https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

import threading
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from tandem.errors import TandemError
from tandem.targets.kubernetes.cluster import Cluster
from tandem.targets.kubernetes.objects import Json

SILENCE = 10  # seconds a watch may last: a dying API server leaves it silent for 60
PAUSE = 0.5  # seconds after a list or a watch that failed

Kind = tuple[str, str, str]  # API version, kind, label selector


class Follow:
    """While it is open: what the cluster holds of some kinds, and word of each change."""

    def __init__(self, cluster: Cluster, kinds: Sequence[Kind]) -> None:
        self.cluster, self.changed = cluster.hasty(), threading.Condition()
        self.found: dict[str, dict[str, Json]] = {kind: {} for _, kind, _ in kinds}
        self.listed: set[str] = set()
        self.trouble: str | None = None  # why the API cannot be asked now
        self._moves, self._over = 0, False
        self._threads = [threading.Thread(target=self._keep, args=(kind,), daemon=True) for kind in kinds]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True  # each thread ends at its next word from the API; nobody waits for it

    def of(self, kind: str) -> list[Json]:
        """The objects of a kind as last heard."""
        with self.changed:
            return list(self.found[kind].values())

    def wait(self, seen: int, seconds: float) -> int:
        """Wait until something changed since `seen`, or so many seconds; gives what to pass next time."""
        with self.changed:
            self.changed.wait_for(lambda: self._moves != seen, seconds)
            return self._moves

    @property
    def complete(self) -> bool:
        """Whether each kind was listed once."""
        return len(self.listed) == len(self.found)

    def _keep(self, kind: Kind) -> None:
        while not self._over:
            try:
                self._list_and_watch(*kind)
            except Exception as error:  # whatever it is: the thread goes on, and who waits hears of it
                with self.changed:
                    self.trouble = str(error) if isinstance(error, TandemError) else repr(error)
                    self._moved()
                time.sleep(PAUSE)

    def _list_and_watch(self, api_version: str, kind: str, selector: str) -> None:
        items, version = self.cluster.items(api_version, kind, selector)
        with self.changed:
            self.found[kind] = {item["metadata"]["uid"]: item for item in items}
            self.listed.add(kind)
            self.trouble = None
            self._moved()
        while not self._over:
            began, heard = time.monotonic(), False
            for event in self.cluster.watch(api_version, kind, selector, version, SILENCE):
                if event["type"] == "ERROR" or self._over:  # 410 Gone: too old, or the server has forgotten
                    return
                heard = True
                version = event["object"]["metadata"]["resourceVersion"]
                if event["type"] != "BOOKMARK":
                    self._take(kind, event["type"], event["object"])
            if not heard and time.monotonic() - began < SILENCE - 1:
                return  # cut before it said a word

    def _take(self, kind: str, what: str, body: Mapping[str, Json]) -> None:
        with self.changed:
            if what == "DELETED":
                self.found[kind].pop(str(body["metadata"]["uid"]), None)
            else:
                self.found[kind][str(body["metadata"]["uid"])] = dict(body)
            self._moved()

    def _moved(self) -> None:
        self._moves += 1
        self.changed.notify_all()
