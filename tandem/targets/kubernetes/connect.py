"""A cluster by a kubeconfig's context, or from inside it."""

import os
from pathlib import Path
from typing import Any

from kubernetes.client import ApiClient, Configuration
from kubernetes.config import load_incluster_config, new_client_from_config
from kubernetes.config.config_exception import ConfigException

from tandem.errors import SettingsError
from tandem.targets.kubernetes.cluster import Cluster


def connect(url: str) -> Cluster:
    """The namespace that `kubernetes://CONTEXT/NAMESPACE` names; `kubernetes://in-cluster/NAMESPACE` by the pod's own.

    A context may hold slashes; the namespace is what stands behind the last. KUBECONFIG is read now. Raises
    SettingsError.
    """
    context, slash, namespace = url.removeprefix("kubernetes://").rpartition("/")
    if not (slash and context and namespace):
        raise SettingsError(
            f"{url!r} names no place: kubernetes://CONTEXT/NAMESPACE, or kubernetes://in-cluster/NAMESPACE"
        )
    inside: Any = load_incluster_config  # which have no types
    outside: Any = new_client_from_config
    try:
        if context == "in-cluster":
            configuration = Configuration()
            inside(client_configuration=configuration)
            return Cluster(ApiClient(configuration), namespace, "this cluster")
        file = os.environ.get("KUBECONFIG") or str(Path("~/.kube/config").expanduser())
        client = outside(config_file=file, context=context, client_configuration=Configuration())
    except (ConfigException, OSError, KeyError, TypeError, ValueError) as error:
        raise SettingsError(
            f"{url}: {' '.join(str(error).split())}: 'kubectl config get-contexts' lists those there are"
        ) from None
    return Cluster(client, namespace, context)
