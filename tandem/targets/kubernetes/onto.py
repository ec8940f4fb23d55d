"""Server-side apply onto the very object that was looked at: whoever changes it meanwhile makes the release lose.

https://kubernetes.io/docs/reference/using-api/server-side-apply/
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from tandem.errors import ReleaseFailed, StateChanged
from tandem.targets.kubernetes import owners
from tandem.targets.kubernetes.ask_first import AT_ONCE, explained
from tandem.targets.kubernetes.cluster import Cluster
from tandem.targets.kubernetes.objects import Json, Ref, Wanted, ref_of
from tandem.targets.kubernetes.owners import mark, release_of
from tandem.targets.kubernetes.refusal import ApiRefused

ABSENT = "1"  # no object is at this version: applied with it, one is made, or refused where somebody made it meanwhile
TRIES = 10  # onto an object whose status moves


def apply_onto(cluster: Cluster, wanted: Wanted, live: Json | None) -> Json:
    """The object as it is after that. Raises ReleaseFailed where somebody else changed it, StateChanged: a release."""
    for _ in range(TRIES):
        try:
            return cluster.apply(_at_version(wanted.body, live))
        except ApiRefused as error:
            if not error.conflict or any(cause.field for cause in error.causes):
                fault, text = explained(wanted, error)
                raise ReleaseFailed(text, fault) from None
        now = cluster.get(wanted.ref)
        own = release_of(now) == release_of(wanted.body) != release_of(live)  # ours: its answer was lost on the way
        if not own:
            unchanged(wanted.ref, live, now)
        live = now
    raise ReleaseFailed(f"{wanted.ref} changes faster than it can be applied", "environment")


def unchanged(ref: Ref, before: Json | None, now: Json | None) -> None:
    """Raises ReleaseFailed where somebody changed the object, StateChanged where another release did."""
    if mark(before) == mark(now):
        return
    if now is None:
        raise ReleaseFailed(f"{ref} was deleted by somebody else since this release began", "environment")
    if release_of(now) not in (None, release_of(before)):
        raise StateChanged(f"{ref} was changed by release {release_of(now)!r} since this one began")
    who = ", ".join(owners.changed_by(before, now))
    raise ReleaseFailed(f"{ref} was edited by somebody else since this release began: {who}", "environment")


def still_ours(cluster: Cluster, applied: Sequence[Json]) -> None:
    """Whether each object still has what the release applied of it. Raises as `unchanged`."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(lambda body: cluster.get(ref_of(body)), applied))
    for body, now in zip(applied, found, strict=True):
        ref = ref_of(body)
        if now is None:
            raise ReleaseFailed(f"{ref} was deleted by somebody else during the release", "environment")
        if release_of(now) != release_of(body):
            raise StateChanged(f"{ref} was changed by release {release_of(now)!r} during this one")
        if owners.fields_of(now) != owners.fields_of(body):
            who = ", ".join(owners.changed_by(body, now))
            raise ReleaseFailed(f"{ref} was edited during the release, by {who}", "environment")


def _at_version(body: Json, live: Json | None) -> Json:
    version: Mapping[str, str] = {"resourceVersion": ABSENT}
    if live:
        version = {key: live["metadata"][key] for key in ("resourceVersion", "uid")}
    body = owners.keeping_replicas(body, live)
    return {**body, "metadata": {**body["metadata"], **version}}
