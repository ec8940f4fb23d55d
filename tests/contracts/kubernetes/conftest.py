"""The real cluster, a namespace a test, and a registry on this machine from which the cluster pulls."""

from tests.docker_engine import base_image, engine_registry
from tests.kubernetes_cluster import cluster, cluster_registry, namespace

__all__ = ["base_image", "cluster", "cluster_registry", "engine_registry", "namespace"]
