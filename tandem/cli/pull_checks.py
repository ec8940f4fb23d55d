"""Whether a cluster could pull the app's image, as far as that can be known without pulling."""

from collections.abc import Iterator, Sequence

import httpx

from tandem.cli.checks import Check
from tandem.errors import TandemError
from tandem.settings import Settings
from tandem.targets.kubernetes.cluster import Cluster
from tandem.targets.kubernetes.objects import Json, Ref, Wanted
from tandem.targets.kubernetes.prepare import template
from tandem.targets.kubernetes.refusal import ApiRefused
from tandem.targets.kubernetes.target import KubernetesTarget

LOOPBACK = {"127.0.0.1", "localhost", "::1"}


def pull(settings: Settings, name: str, target: KubernetesTarget, wanted: Sequence[Wanted]) -> Check:
    """By a pull secret of Tandem's or the app's, without a login, or by the nodes' identity."""
    try:
        fine, says = _pull(settings, name, target, wanted)
    except TandemError as error:
        fine, says = False, str(error)
    return Check(settings.app, f"{name}: pull", fine, says)


def _pull(settings: Settings, name: str, target: KubernetesTarget, wanted: Sequence[Wanted]) -> tuple[bool | None, str]:
    registry, host = settings.toml.image.registry, target.place.partition("/")[0]
    if registry.startswith("oci:"):
        return False, f"[image] registry is {registry}, a folder of this machine: name one that the cluster reaches"
    if secret := target.wishes.pull_secret:
        if secret.account() is None:
            raise TandemError("[image] credentials give no account for pull_secret")
        return True, f"each release writes {secret.ref} from [image] credentials"
    if named := sorted(set(_named(target.cluster, wanted))):
        return _there(target.cluster, named)
    if host.endswith(".azurecr.io"):
        if settings.environment(name).target.startswith("aks:"):
            _, _, _, group, cluster, _ = settings.environment(name).target.split("/")
            asks = f"az aks check-acr --resource-group {group} --name {cluster} --acr {host}"
            return None, f"by the nodes' identity, if it is attached: '{asks}' says so (docs/aks.md)"
        return None, f"{host} asks for a login: pull_secret = true, or an identity of the nodes (docs/aks.md)"
    if _open(registry, host):
        return True, f"{host} asks for no login"
    return None, f"{host} asks for a login, and no pull secret is named: pull_secret = true, or the nodes must have one"


def _named(cluster: Cluster, wanted: Sequence[Wanted]) -> Iterator[str]:
    """The pull secrets of the pods and of their service accounts."""
    accounts = {each.ref.name: each.body for each in wanted if each.body["kind"] == "ServiceAccount"}
    for each in wanted:
        spec = (template(each.body) or {}).get("spec") or {}
        yield from _secrets(spec)
        if spec:
            account = str(spec.get("serviceAccountName") or "default")
            yield from _secrets(accounts[account] if account in accounts else _live(cluster, account))


def _secrets(body: Json) -> Iterator[str]:
    yield from (str(each.get("name")) for each in body.get("imagePullSecrets") or ())


def _live(cluster: Cluster, account: str) -> Json:
    try:
        return cluster.get(Ref("v1", "ServiceAccount", account)) or {}
    except ApiRefused:  # who may not look there learns it from the release
        return {}


def _there(cluster: Cluster, names: Sequence[str]) -> tuple[bool | None, str]:
    said = ", ".join(f"Secret/{name}" for name in names)
    try:
        gone = [name for name in names if cluster.get(Ref("v1", "Secret", name)) is None]
    except ApiRefused as error:
        if error.status != 403:
            raise
        return None, f"by {said}, which this identity may not look for"
    if gone:
        makes = f"kubectl -n {cluster.namespace} create secret docker-registry {gone[0]}"
        return False, f"the app's YAML names Secret/{gone[0]}, and it is not there: '{makes}', or pull_secret = true"
    return True, f"by {said}"


def _open(registry: str, host: str) -> bool:
    plain = registry.startswith("http://") or httpx.URL(f"http://{host}").host in LOOPBACK
    try:
        return httpx.get(f"{'http' if plain else 'https'}://{host}/v2/", timeout=10.0).status_code == 200
    except httpx.HTTPError as error:
        raise TandemError(f"{host} does not answer here: {type(error).__name__}: {error}") from None
