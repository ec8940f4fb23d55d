"""`kubernetes://CONTEXT/NAMESPACE`: the app's own YAML, rolled out with nothing lost, and taken back as it was."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Self

from tandem.errors import Refused, ReleaseFailed, StateChanged
from tandem.image_config import config_of
from tandem.records import Image, Progress, Running, Snapshot, State, Versioned
from tandem.settings import Settings
from tandem.targets.kubernetes import undo
from tandem.targets.kubernetes.adopt import adopt
from tandem.targets.kubernetes.ask_first import AT_ONCE, ask_first
from tandem.targets.kubernetes.changes import changes
from tandem.targets.kubernetes.cluster import Cluster
from tandem.targets.kubernetes.gone import gone
from tandem.targets.kubernetes.objects import File, Json, Ref, Wanted, ref_of
from tandem.targets.kubernetes.onto import apply_onto, still_ours, unchanged
from tandem.targets.kubernetes.owners import is_ours, release_of
from tandem.targets.kubernetes.prepare import TEMPLATED, Marks, marks, prepare
from tandem.targets.kubernetes.refusal import ApiRefused
from tandem.targets.kubernetes.rollout import told, wait
from tandem.targets.kubernetes.running import address, answers, log, running, scaled
from tandem.targets.kubernetes.state import ConfigMapState
from tandem.targets.kubernetes.wishes import NOTHING, Wishes, pulled_from
from tandem.targets.kubernetes.yaml_files import read

Files = Callable[[str], Sequence[File]]
ADDRESS = 300.0  # seconds a cloud may take for a load balancer's address


class KubernetesTarget:
    """See Target in tandem/seams.py. `files` gives the app's YAML at a commit; `place`, the registry as pods say it."""

    def __init__(
        self, cluster: Cluster, app: str, environment: str, place: str, files: Files, wishes: Wishes = NOTHING
    ) -> None:
        self.cluster, self.app, self.environment, self.place, self.files = cluster, app, environment, place, files
        self.label = f"{app}.{environment}"
        self.states, self.wishes = ConfigMapState(cluster, app, environment), wishes

    @classmethod
    def at(cls, cluster: Cluster, settings: Settings, environment: str, files: Files, wishes: Wishes = NOTHING) -> Self:
        """The target of an environment in this cluster."""
        return cls(cluster, settings.app, environment, pulled_from(settings), files, wishes)

    def state(self) -> Versioned[State]:
        """What the ConfigMap holds."""
        return self.states.read()

    def record(self, state: Versioned[State]) -> Versioned[State]:
        """Write it, if nobody else did."""
        return self.states.write(state)

    def snapshot(self) -> Snapshot:
        """What Tandem applied of each object that is there."""
        return undo.snapshot(self._live())

    def preview(self, image: Image) -> list[str]:
        """What `roll_out` would change, a line a field; the API server has tried it. Raises ReleaseFailed."""
        wanted = self._wanted(image, "dry-run")
        live, tried = ask_first(self.cluster, wanted, self.label)
        return [line for before, after in zip(live, tried, strict=True) for line in changes(before, after)]

    def roll_out(self, image: Image, expected: Versioned[State]) -> Iterator[Progress]:
        """Ask first, apply, wait until only the new pods serve at the address that users use."""
        self.states.held(expected.value)
        under_way = expected.value.under_way
        wanted = self._wanted(image, under_way.release.id if under_way else "")
        yield Progress(f"dry run of {len(wanted)} objects in {self.cluster}")
        live, _ = ask_first(self.cluster, wanted, self.label)
        before = undo.objects(under_way.snapshot.content) if under_way else {}
        for each, body in zip(wanted, live, strict=True):
            if each.ref in before and release_of(body) != release_of(each.body):  # else a killed run of this release's
                unchanged(each.ref, before[each.ref], body)
        self.states.note((each.ref.api_version, each.ref.kind) for each in wanted)
        events = told(self.cluster)
        self.states.held(expected.value)
        if secret := self.wishes.pull_secret:
            secret.write(self.cluster, self.label)
        applied = self._apply(wanted, live, expected)
        yield Progress(f"{len(applied)} objects applied; waiting for the pods")
        yield from wait(self.cluster, self.label, _deployments(applied), events)
        yield from self._reached(applied)
        still_ours(self.cluster, applied)
        if self.wishes.dns:
            yield from self.wishes.dns.wait(self.cluster, self.label)

    def finish(self, image: Image) -> Iterator[Progress]:
        """Delete what the app's YAML had once and has no more; nothing that another made."""
        kept, live = {each.ref for each in self._wanted(image, "")}, self._live()
        if self.state().value.under_way:
            raise StateChanged(f"{self.label}: another release has begun: it tidies up")
        for body in live:
            if ref_of(body) in kept or not is_ours(body):
                continue
            if body["kind"] == "PersistentVolumeClaim":
                yield Progress(f"{ref_of(body)} is not in the app's YAML any more: it stays, for its data")
            else:
                self.cluster.delete(ref_of(body), body["metadata"]["uid"])
                yield Progress(f"{ref_of(body)} is not in the app's YAML any more: deleted")

    def restore(self, snapshot: Snapshot, expected: Versioned[State]) -> Iterator[Progress]:
        """Every object as the snapshot has it, and nothing that came since. Raises ReleaseFailed, StateChanged."""
        self.states.held(expected.value)
        under_way = expected.value.under_way
        events, release = told(self.cluster), under_way.release.id if under_way else ""
        try:
            came = undo.came(snapshot.content, self._live(), release)
            back = undo.bring_back(self.cluster, snapshot.content, release, scaled(self.cluster, came))
        except ApiRefused as error:
            self.states.held(expected.value)  # says so where the namespace is gone
            raise ReleaseFailed(f"bringing back what ran: {error}", "environment") from None
        yield Progress(f"{len(back)} Kubernetes Deployments as they were" if back else "nothing ran before")
        workloads = {ref: uid for ref, uid in came.items() if ref.kind in TEMPLATED}
        self._delete({ref: uid for ref, uid in came.items() if ref not in workloads})  # autoscalers, above all
        try:
            yield from wait(self.cluster, self.label, back, events)
        except ReleaseFailed as failure:
            raise ReleaseFailed(f"bringing back what ran: {failure.reason}", "environment", failure.log) from failure
        finally:
            self._delete(workloads)  # they may serve alone until then
        yield from gone(self.cluster, self.label, came, alone=not back)
        if self.wishes.pull_secret and not snapshot.content:
            self.wishes.pull_secret.remove(self.cluster, self.label)

    def adopt(self) -> list[str]:
        """Take over, once, what people's tools made of the app's objects; a line for each. Raises Refused.

        What runs is not touched; the next release changes it, and removes what its YAML does not say any more.
        """
        if self.state().value.under_way:
            raise Refused(f"a release of {self.app} to {self.environment} is under way: adopt when it has ended")
        wanted = read(self.files(""), self.cluster.namespace)
        self.states.note((each.ref.api_version, each.ref.kind) for each in wanted)
        return adopt(self.cluster, wanted, self.label)

    def running(self) -> Running:
        """What the ready pods run, as the container runtime says, and the load balancer's or Ingress' address."""
        return running(self.cluster, self.label, self.place)

    def log(self, lines: int = 50) -> str:
        """The last lines of the newest pod."""
        return log(self.cluster, self.label, self.place, lines)

    # ── inside ────────────────────────────────────────────────────────────────────────────────────

    def _wanted(self, image: Image, release: str) -> list[Wanted]:
        if config_of(image).labels.get("dev.tandem.base", "").startswith("none"):
            raise ReleaseFailed(
                f'{image} brings no system of its own (base = "none") and runs on process: only: set [image].base, '
                "integrate with that, and release again",
                "environment",
            )
        secret, dns = self.wishes.pull_secret, self.wishes.dns
        given: Marks = replace(
            marks(image, self.app, self.environment, release, self.place),
            pull_secret=secret.ref.name if secret else None,
            dns_label=dns.label if dns else None,
        )
        commit = image.manifest.annotations.get("org.opencontainers.image.revision", "")
        wanted = prepare(read(self.files(commit), self.cluster.namespace), given, scaled(self.cluster))
        if dns:
            dns.fits(wanted)
        return wanted

    def _live(self) -> list[Json]:
        kinds = self.states.kinds()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            found = pool.map(lambda kind: undo.labelled(self.cluster, [kind], self.label), kinds)
        return [body for bodies in found for body in bodies]

    def _apply(self, wanted: Sequence[Wanted], live: Sequence[Json | None], expected: Versioned[State]) -> list[Json]:
        """All of them, or none where another release took this one's place meanwhile."""
        applied: list[Json] = []
        try:
            for each, body in zip(wanted, live, strict=True):
                applied.append(apply_onto(self.cluster, each, body))
            self.states.held(expected.value)
        except StateChanged:
            before = {each.ref: body for each, body in zip(wanted, live, strict=True)}
            undo.take_off(self.cluster, applied, before, scaled(self.cluster))
            raise
        return applied

    def _delete(self, refs: Mapping[Ref, str]) -> None:
        for ref, uid in refs.items():
            self.cluster.delete(ref, uid)

    def _reached(self, applied: Sequence[Json]) -> Iterator[Progress]:
        until, look_again, said = time.monotonic() + ADDRESS, 0.0, False
        while True:
            found, waiting = address(self.cluster, self.label)
            if not waiting and (found is None or answers(found)):
                yield Progress(f"users reach it at {found or 'no address outside the cluster'}", 1, 1)
                return
            if not said:
                yield Progress(f"waiting for {found or f'the address of {waiting}'}")
                said = True
            if time.monotonic() > until:
                what = f"nothing answers at {found}" if found else f"{waiting} was given no address"
                raise ReleaseFailed(f"{what} after {ADDRESS:.0f} s", "environment")
            if time.monotonic() > look_again:  # a Service that somebody leads elsewhere is never reached
                still_ours(self.cluster, applied)
                look_again = time.monotonic() + 1
            time.sleep(0.1)


def _deployments(applied: Sequence[Json]) -> dict[str, Json]:
    return {body["metadata"]["name"]: body for body in applied if body["kind"] == "Deployment"}
