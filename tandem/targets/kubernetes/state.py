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
TRIES = 10  # at a state that others change too
USUAL = frozenset({("v1", "Service"), ("apps/v1", "Deployment")})


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
        value = decode((found.get("data") or {}).get(KEY, "").encode(), self._where)
        return Versioned(value, found["metadata"]["resourceVersion"])

    def write(self, state: Versioned[State]) -> Versioned[State]:
        """Store it where the resource version is still the token; else StateChanged."""
        content = encode(state.value).decode()
        if (size := len(content.encode())) > MOST:
            raise TandemError(
                f"{self._where} would hold {size} bytes, and a ConfigMap takes {MOST}: it keeps the app's objects as "
                "they are before a release: put large files into the image, not into objects"
            )
        try:
            if not state.token:
                written = self._create(content)
            else:
                change = {"metadata": {"resourceVersion": state.token}, "data": {KEY: content}}
                written = self._merge(change)
        except ApiRefused as error:
            if not error.conflict and (gone := self._gone()):
                raise gone from None
            if not (error.conflict or error.missing):
                raise
            now = self.read()  # an answer that was lost on its way: it was written, and by us
            if now.token and encode(now.value).decode() == content:
                return now
            raise StateChanged(
                f"{self.app} in {self.environment}: the state was changed since it was read ({self._where}): "
                "somebody else released or blocked meanwhile; look with 'tandem status' and try again"
            ) from None
        return Versioned(state.value, written["metadata"]["resourceVersion"])

    def held(self, expected: State) -> None:
        """StateChanged where another release stands in the state now; ReleaseFailed where the namespace is gone."""
        now = self.read()
        if standing(now.value) != standing(expected):
            if gone := not now.token and self._gone():
                raise gone
            raise StateChanged(
                f"{self.app} in {self.environment}: another release began or ended meanwhile ({self._where}): "
                "look with 'tandem status' and try again"
            )

    def kinds(self) -> list[tuple[str, str]]:
        """The API versions and kinds that the environment may have objects of."""
        return sorted(_noted(self.cluster.get(self.ref)))

    def note(self, kinds: Iterable[tuple[str, str]]) -> None:
        """Remember that objects of these kinds come: before the first of them, so that a kill loses none."""
        wanted = set(kinds)
        for _ in range(TRIES):
            found = self.cluster.get(self.ref)
            every = _noted(found) | wanted
            if every == _noted(found):
                return
            if found is None:
                self.write(Versioned(State(self.app, self.environment), ""))
                continue
            told = ",".join(f"{version} {kind}" for version, kind in sorted(every))
            version = found["metadata"]["resourceVersion"]  # another release may note its own now
            try:
                self._merge({"metadata": {"resourceVersion": version, "annotations": {KINDS: told}}})
                return
            except ApiRefused as error:
                if not (error.conflict or error.missing):
                    raise self._gone() or error from None
        raise StateChanged(f"{self._where} changes faster than it can be written")

    def _gone(self) -> ReleaseFailed | None:
        """What to raise where the namespace is no more, or is being deleted."""
        try:
            self._create("", dry_run=True)
        except ApiRefused as error:
            if error.missing or "being terminated" in str(error):
                return ReleaseFailed(
                    f"the namespace {self.cluster.namespace} in {self.cluster.name} is gone, or being deleted: make it "
                    f"anew, and release again ({error})",
                    "environment",
                )
        return None

    @property
    def _where(self) -> str:
        return f"ConfigMap {self.ref.name} in {self.cluster}"

    def _create(self, content: str, dry_run: bool = False) -> Json:
        metadata = {"name": self.ref.name, "labels": {LABEL: f"{self.app}.{self.environment}"}}
        return self.cluster.create(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {KEY: content}}, dry_run
        )

    def _merge(self, change: Json) -> Json:
        path, query = self.cluster.path(self.ref), {"fieldManager": "tandem-state"}
        return self.cluster.call("PATCH", path, query, change, "application/merge-patch+json")


def _noted(found: Json | None) -> frozenset[tuple[str, str]]:
    told = ((found or {}).get("metadata", {}).get("annotations") or {}).get(KINDS, "")
    pairs = (pair.partition(" ") for pair in told.split(",") if pair)
    return USUAL | {(version, kind) for version, _, kind in pairs}
