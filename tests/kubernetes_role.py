"""Who releases in the tests: somebody with exactly the Role that docs/kubernetes-role.yaml gives, and nothing more."""

import time
from pathlib import Path

import yaml
from kubernetes import client

from tests.kubernetes_cluster import Cluster

ROLE = Path(__file__).parents[1] / "docs" / "kubernetes-role.yaml"


def bind_role(cluster: Cluster, namespace: str, subject: dict[str, str]) -> None:
    """Give it the Role in this namespace, and wait until the API server's authorizer has heard of it."""
    with cluster.api() as api:
        rbac = client.RbacAuthorizationV1Api(api)
        rbac.create_namespaced_role(namespace, yaml.safe_load(ROLE.read_text()))
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "tandem"}
        binding = {"metadata": {"name": "tandem"}, "roleRef": role, "subjects": [subject]}
        rbac.create_namespaced_role_binding(namespace, binding)
        kind, name = subject["kind"], subject["name"]
        user = name if kind == "User" else f"system:serviceaccount:{namespace}:{name}"
        wish = {"namespace": namespace, "verb": "list", "resource": "pods"}
        deadline = time.monotonic() + 60
        reviews = client.AuthorizationV1Api(api)
        while not reviews.create_subject_access_review(
            {"spec": {"user": user, "resourceAttributes": wish}}
        ).status.allowed:
            assert time.monotonic() < deadline, f"{user} may not list pods within 60 s of its role binding"
            time.sleep(0.02)


def role_client(cluster: Cluster, namespace: str) -> client.ApiClient:
    """A client of a service account that has the Role, by its token."""
    with cluster.api() as api:
        core = client.CoreV1Api(api)
        core.create_namespaced_service_account(namespace, {"metadata": {"name": "tandem"}})
        bind_role(cluster, namespace, {"kind": "ServiceAccount", "name": "tandem", "namespace": namespace})
        asked = {"spec": {"expirationSeconds": 3600}}
        token = core.create_namespaced_service_account_token("tandem", namespace, asked).status.token
        own = client.Configuration()
        own.host, own.ssl_ca_cert = api.configuration.host, api.configuration.ssl_ca_cert
    own.api_key["authorization"] = f"Bearer {token}"
    return client.ApiClient(own)
