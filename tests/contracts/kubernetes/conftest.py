"""The real cluster, a namespace a test or a file, and a registry on this machine from which the cluster pulls."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contracts.kubernetes.place import Place, stand
from tests.contracts.kubernetes.wire import Wire, wire
from tests.contracts.registries.conftest import acr
from tests.docker_engine import BaseImage, base_image, engine_registry
from tests.kubernetes_cluster import Cluster, cluster, cluster_registry, namespace, own_namespace

__all__ = ["acr", "base_image", "cluster", "cluster_registry", "engine_registry", "namespace"]


@pytest.fixture(scope="module")
def shared(
    cluster: Cluster,
    cluster_registry: str,
    base_image: BaseImage,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Place]:
    """A place that the tests of a file share, one after the other."""
    with own_namespace(cluster, request.node.nodeid) as name:
        yield Place(cluster, name, f"{cluster_registry}/{name}/app", tmp_path_factory.mktemp("place"), base_image)


@pytest.fixture
def stands(shared: Place) -> None:
    """Version v1 runs, whatever a test before left."""
    stand(shared)


@pytest.fixture
def place(cluster: Cluster, cluster_registry: str, base_image: BaseImage, namespace: str, tmp_path: Path) -> Place:
    """A place of the test's own."""
    return Place(cluster, namespace, f"{cluster_registry}/{namespace}/app", tmp_path, base_image)


@pytest.fixture
def line(shared: Place) -> Iterator[Wire]:
    """A wire to the API that may fail."""
    with wire(shared.real) as found:
        yield found
