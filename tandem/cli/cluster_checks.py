"""`tandem check`, for an environment on Kubernetes: what a release would stumble over, before one is begun."""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from typing import Any

from tandem.cli.checks import Check, attempt
from tandem.errors import ReleaseFailed, TandemError
from tandem.settings import Settings
from tandem.targets.kubernetes.cluster import Cluster
from tandem.targets.kubernetes.objects import Wanted
from tandem.targets.kubernetes.permissions import Permission, missing, needed
from tandem.targets.kubernetes.prepare import SCALED, Marks, prepare, scales
from tandem.targets.kubernetes.refusal import ApiRefused
from tandem.targets.kubernetes.running import scaled
from tandem.targets.kubernetes.target import KubernetesTarget
from tandem.targets.kubernetes.yaml_files import read

from . import pull_checks

PATIENCE = 10.0  # seconds; a release has more
TRIAL = Permission("", "pods", "create")


def cluster(backends: Any, settings: Settings, name: str) -> Generator[Check, None, bool]:
    """The checks of one environment; gives back whether its cluster was reached."""

    def check(what: str, look: Callable[[], str]) -> Check:
        return attempt(settings.app, f"{name}: {what}", look)

    found: list[KubernetesTarget] = []
    first = check("cluster", lambda: _answers(backends, settings, name, found))
    yield first
    if not first.fine:
        return False
    target, wanted = found[0], list[Wanted]()
    yield _namespace(settings, name, target.cluster)
    yield check("YAML", lambda: _yaml(backends, settings, target, wanted))
    yield from (Check(settings.app, f"{name}: replicas", None, text) for text in _scaled(target.cluster, wanted))
    yield _permissions(settings, name, target, wanted)
    yield pull_checks.pull(settings, name, target, wanted)
    return True


def _answers(backends: Any, settings: Settings, name: str, found: list[KubernetesTarget]) -> str:
    target: KubernetesTarget = backends.target(settings, name)
    target.cluster.patience = PATIENCE
    version = target.cluster.call("GET", "/version")["gitVersion"]
    found.append(target)
    return f"{target.cluster.name} answers: Kubernetes {version}"


def _namespace(settings: Settings, name: str, cluster: Cluster) -> Check:
    what, where = f"{name}: namespace", cluster.namespace
    trial = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "tandem-check"}}
    looks: tuple[Callable[[], object], ...] = (
        lambda: cluster.call("GET", f"/api/v1/namespaces/{where}"),
        lambda: cluster.create(trial, dry_run=True),  # for whoever may not look at namespaces
    )
    for look in looks:
        try:
            look()
            return Check(settings.app, what, True, f"{where} is there")
        except ApiRefused as error:
            if error.missing:
                told = f"there is no namespace {where} in {cluster.name}: 'kubectl create namespace {where}'"
                return Check(settings.app, what, False, told)
            if error.status != 403:
                return Check(settings.app, what, False, str(error))
        except TandemError as error:
            return Check(settings.app, what, False, str(error))
    return Check(settings.app, what, None, f"whether {where} is there, this identity may not ask")


def _yaml(backends: Any, settings: Settings, target: KubernetesTarget, wanted: list[Wanted]) -> str:
    commit = backends.repository(settings).newest().id
    try:
        found = read(target.files(commit), target.cluster.namespace)
        prepare(found, Marks(settings.app, target.label, f"{target.place}@sha256:{'0' * 64}", "check", {}))
        if target.wishes.dns:
            target.wishes.dns.fits(found)
    except ReleaseFailed as error:
        raise TandemError(f"at {commit[:12]}: {error}") from None
    wanted += found
    return f"{len(found)} objects at {commit[:12]}"


def _scaled(cluster: Cluster, wanted: Sequence[Wanted]) -> Iterator[str]:
    own = {scales(each.body): str(each.ref) for each in wanted if each.body["kind"] == SCALED}
    there: set[tuple[str, str]] = set()
    with suppress(TandemError):  # the permissions below say what is wrong
        there = scaled(cluster)
    for each in wanted:
        key, spec = (each.ref.kind, each.ref.name), each.body.get("spec") or {}
        scaler = own.get(key) or ("an autoscaler that is in the namespace" if key in there else "")
        if scaler and "replicas" in spec:
            yield f"{each.where}: {each.ref}'s replicas belong to {scaler} and are not applied: leave them out"


def _permissions(settings: Settings, name: str, target: KubernetesTarget, wanted: Sequence[Wanted]) -> Check:
    what, secret = f"{name}: permissions", target.wishes.pull_secret
    try:
        lacks = missing(target.cluster, needed(target.cluster, wanted, secret.ref if secret else None))
    except TandemError as error:
        return Check(settings.app, what, False, str(error))
    if not lacks:
        return Check(settings.app, what, True, "all that a release needs")
    if lacks == [TRIAL]:
        text = "without 'create pods' no pod is tried before a release: what refuses one is found by the rollout"
        return Check(settings.app, what, None, text)
    return Check(settings.app, what, False, f"missing: {', '.join(map(str, lacks))}: {target.cluster.remedy.forbidden}")
