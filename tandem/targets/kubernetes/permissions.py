"""What a release may have to do in a namespace, and what of it the cluster does not allow whoever is asking.

docs/kubernetes-role.yaml grants the same. The API server is asked about each, since what it lists of a user's rules
leaves out those of webhooks such as Azure RBAC:
https://kubernetes.io/docs/reference/access-authn-authz/authorization/#checking-api-access
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tandem.targets.kubernetes.cluster import Cluster
from tandem.targets.kubernetes.objects import Ref, Wanted

AT_ONCE = 8  # requests
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
OWN = ("get", "list", "create", "patch", "delete")
USUAL = (("v1", "ConfigMap"), ("v1", "Service"), ("apps/v1", "Deployment"))
ALWAYS = {
    ("apps", "deployments"): ("watch",),
    ("apps", "replicasets"): ("list", "watch"),
    ("", "pods"): ("list", "watch", "create"),
    ("", "events"): ("list", "watch"),
    ("", "pods/log"): ("get",),
}


@dataclass(frozen=True, order=True)
class Permission:
    """A verb on a resource of the namespace; on one object where it has a name."""

    group: str
    resource: str
    verb: str
    name: str = ""

    def __str__(self) -> str:
        where = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{self.verb} {where}{f' {self.name}' if self.name else ''}"


def needed(cluster: Cluster, wanted: Iterable[Wanted], secret: Ref | None = None) -> list[Permission]:
    """What a release of these objects needs, with the pull secret where there is one. Raises ApiRefused."""
    kinds = {*USUAL, *((each.ref.api_version, each.ref.kind) for each in wanted)}
    found = {Permission(*key, verb) for key, verbs in ALWAYS.items() for verb in verbs}
    for version, kind in kinds:
        group = version.rpartition("/")[0]
        resource = cluster.path(Ref(version, kind, "")).rpartition("/")[2]
        found |= {Permission(group, resource, verb) for verb in OWN}
    if secret is not None:
        found |= {Permission("", "secrets", "create")}
        found |= {Permission("", "secrets", verb, secret.name) for verb in ("get", "patch", "delete")}
    return sorted(found)


def missing(cluster: Cluster, permissions: Sequence[Permission]) -> list[Permission]:
    """Those that whoever is asking does not have in the namespace. Raises ApiRefused, Unreachable."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        allowed = list(pool.map(lambda each: _allowed(cluster, each), permissions))
    return [each for each, yes in zip(permissions, allowed, strict=True) if not yes]


def _allowed(cluster: Cluster, permission: Permission) -> bool:
    resource, _, part = permission.resource.partition("/")
    asked = {"namespace": cluster.namespace, "verb": permission.verb, "group": permission.group, "resource": resource}
    asked |= {"subresource": part} if part else {}
    asked |= {"name": permission.name} if permission.name else {}
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
    answer = cluster.call("POST", REVIEWS, body={**review, "spec": {"resourceAttributes": asked}})
    return bool(answer["status"].get("allowed"))
