"""An environment's state in a ConfigMap of its namespace, changed by compare-and-swap on its resource version."""

from collections.abc import Iterable

from tandem.errors import ReleaseFailed, StateChanged, TandemError
from tandem.records import State, Versioned
from tandem.targets.kubernetes.cluster import Cluster
from tandem.targets.kubernetes.objects import Json, Ref
from tandem.targets.kubernetes.prepare import LABEL
from tandem.targets.kubernetes.refusal import ApiRefused
from tandem.targets.state import decode, encode, standing

KEY, KINDS = "state.json", "tandem.dev/kinds"
MOST = 1_000_000  # bytes; a ConfigMap holds 1 MiB
USUAL = frozenset({"v1 Service", "apps/v1 Deployment"})


class ConfigMapState:
    """One environment's state in ConfigMap `tandem-APP-ENVIRONMENT`.

    Its annotation names the kinds of objects that the environment has: where to look for what is the app's.
    """

    def __init__(self, cluster: Cluster, app: str, environment: str) -> None:
        self.cluster, self.app, self.environment = cluster, app, environment
        self.ref = Ref("v1", "ConfigMap", f"tandem-{app}-{environment}")

    def read(self) -> Versioned[State]:
        """What is stored, with its resource version; an empty state with the token "" where nothing is."""
        found = self.cluster.get(self.ref)
        if found is None:
            return Versioned(State(self.app, self.environment), "")
        value = decode(found["data"].get(KEY, "").encode(), self._where)
        return Versioned(value, found["metadata"]["resourceVersion"])

    def write(self, state: Versioned[State]) -> Versioned[State]:
        """Store it where the resource version is still the token; else StateChanged."""
        content = encode(state.value).decode()
        if len(content) > MOST:
            raise TandemError(f"{self._where} would hold {len(content)} bytes, and a ConfigMap takes {MOST}")
        try:
            if not state.token:
                written = self._create(content)
            else:
                change = {"metadata": {"resourceVersion": state.token}, "data": {KEY: content}}
                written = self._merge(change)
        except ApiRefused as error:
            if not (error.conflict or error.missing):
                raise
            if error.missing and not state.token:
                raise self.gone() from None
            now = self.read()  # an answer that was lost on its way: it was written, and by us
            if now.token and encode(now.value).decode() == content:
                return now
            raise StateChanged(
                f"{self.app} in {self.environment}: the state was changed since it was read ({self._where}): "
                "somebody else released or blocked meanwhile; look with 'tandem status' and try again"
            ) from None
        return Versioned(state.value, written["metadata"]["resourceVersion"])

    def held(self, expected: State) -> None:
        """StateChanged where another release stands in the state now."""
        if standing(self.read().value) != standing(expected):
            raise StateChanged(
                f"{self.app} in {self.environment}: another release began or ended meanwhile ({self._where}): "
                "look with 'tandem status' and try again"
            )

    def kinds(self) -> list[tuple[str, str]]:
        """The API versions and kinds that the environment may have objects of."""
        found = self.cluster.get(self.ref)
        noted = ((found or {}).get("metadata", {}).get("annotations") or {}).get(KINDS, "")
        pairs = USUAL | {pair for pair in noted.split(",") if pair}
        return [(version, kind) for version, _, kind in (pair.partition(" ") for pair in sorted(pairs))]

    def note(self, kinds: Iterable[tuple[str, str]]) -> None:
        """Remember that objects of these kinds come: before the first of them, so that a kill loses none."""
        there = set(self.kinds())
        every = there | set(kinds)
        if every == there:
            return
        if self.cluster.get(self.ref) is None:
            self.write(Versioned(State(self.app, self.environment), ""))
        self._merge({"metadata": {"annotations": {KINDS: ",".join(sorted(f"{v} {k}" for v, k in every))}}})

    def gone(self) -> ReleaseFailed:
        """What to raise where the namespace is no more."""
        return ReleaseFailed(
            f"there is no namespace {self.cluster.namespace} in {self.cluster.name}: make it, and release again",
            "environment",
        )

    @property
    def _where(self) -> str:
        return f"ConfigMap {self.ref.name} in {self.cluster}"

    def _create(self, content: str) -> Json:
        metadata = {"name": self.ref.name, "labels": {LABEL: f"{self.app}.{self.environment}"}}
        return self.cluster.create(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {KEY: content}}
        )

    def _merge(self, change: Json) -> Json:
        path, query = self.cluster.path(self.ref), {"fieldManager": "tandem-state"}
        return self.cluster.call("PATCH", path, query, change, "application/merge-patch+json")
