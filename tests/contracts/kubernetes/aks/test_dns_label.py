"""`dns_label`: the name that Azure makes of it resolves to the load balancer's address, or the release fails."""

import json
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tandem.errors import ReleaseFailed, SettingsError
from tandem.records import Image
from tandem.seams import Target
from tandem.targets import Given
from tandem.targets.kubernetes.cluster import Cluster
from tandem.targets.kubernetes.names import DnsLabel
from tests.azure_double import CLUSTER, Azure
from tests.kubernetes_app import app_files
from tests.kubernetes_cluster import Cluster as RealCluster
from tests.name_server import Names, name_server

NAME = "digits.westeurope.cloudapp.azure.com"


@pytest.fixture
def names() -> Iterator[Names]:
    with name_server() as names:
        yield names


def service(cluster: RealCluster, namespace: str, name: str) -> str:
    """The address of a Service of type LoadBalancer, which is digits.local's."""
    metadata = {"name": name, "labels": {"tandem.dev/environment": "digits.local"}}
    body = {"metadata": metadata, "spec": {"type": "LoadBalancer", "ports": [{"port": 80}], "selector": {"a": "b"}}}
    whole = {"apiVersion": "v1", "kind": "Service", **body}
    cluster.kubectl("-n", namespace, "apply", "-f", "-", given=json.dumps(whole))
    told = ("-n", namespace, "get", "service", name, "-o", "jsonpath={.status.loadBalancer.ingress[0].ip}")
    deadline = time.monotonic() + 120
    while not (found := cluster.kubectl(*told)):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found


@pytest.fixture
def label(names: Names) -> DnsLabel:
    return DnsLabel("digits", lambda: "westeurope.cloudapp.azure.com", names.place)


@pytest.fixture
def there(cluster: RealCluster, namespace: str) -> Cluster:
    return Cluster(cluster.api(), namespace, "test")


def test_a_release_waits_until_the_name_that_azures_region_gives_resolves(
    azure: Azure,
    writer: None,
    open_environment: Callable[..., Target],
    make_image: Callable[..., Image],
    names: Names,
    cluster: RealCluster,
    namespace: str,
) -> None:
    target = open_environment(more=f'dns_label = "digits"\nresolver = "{names.place}"')
    names.addresses[NAME] = ["192.0.2.1"]  # of the one before

    def moved() -> None:  # what Azure does a moment after the address is there
        while not names.asked:
            time.sleep(0.05)
        names.addresses[NAME] = [str(target.running().address).removeprefix("http://")]

    azures = threading.Thread(target=moved, daemon=True)  # it waits for good where the release fails before
    azures.start()
    said = [each.message for each in target.roll_out(make_image("v1"), target.state())]
    azures.join()
    assert said[-1] == f"{NAME} resolves to {names.addresses[NAME][0]}"
    assert f"GET {CLUSTER}" in azure.asked
    note = "jsonpath={.metadata.annotations.service\\.beta\\.kubernetes\\.io/azure-dns-label-name}"
    assert cluster.kubectl("-n", namespace, "get", "service", "digits", "-o", note) == "digits"


@pytest.mark.parametrize(
    ("resolves", "said"),
    [([], f"{NAME} does not resolve .*does not exist"), (["192.0.2.1"], f"{NAME} resolves to 192.0.2.1 after")],
)
def test_a_name_that_stays_wrong_is_the_environments_fault(
    cluster: RealCluster, namespace: str, names: Names, label: DnsLabel, there: Cluster, resolves: list[str], said: str
) -> None:
    address = service(cluster, namespace, "digits")
    if resolves:
        names.addresses[NAME] = resolves
    with pytest.raises(ReleaseFailed, match=said) as failed:
        list(label.wait(there, "digits.local", seconds=0.1))
    assert failed.value.fault == "environment"
    assert address in str(failed.value)


def test_a_resolver_that_does_not_answer_is_said(cluster: RealCluster, namespace: str, there: Cluster) -> None:
    service(cluster, namespace, "digits")
    label = DnsLabel("digits", lambda: "westeurope.cloudapp.azure.com", "127.0.0.1:1")
    with pytest.raises(ReleaseFailed, match=r"does not resolve \(.*127\.0\.0\.1"):
        list(label.wait(there, "digits.local", seconds=0.1))


def test_one_label_for_two_addresses_is_refused(
    cluster: RealCluster, namespace: str, label: DnsLabel, there: Cluster
) -> None:
    for name in ("digits", "metrics"):
        service(cluster, namespace, name)
    with pytest.raises(ReleaseFailed, match=r"dns_label names one address, .* are: digits, metrics"):
        list(label.wait(there, "digits.local", seconds=0.1))


def test_one_label_for_no_address_is_found_before_anything_changes(
    azure: Azure, writer: None, open_environment: Callable[..., Target], make_image: Callable[..., Image]
) -> None:
    files = app_files()[:1]  # no Service
    target = open_environment(more='dns_label = "digits"', given=Given(files=lambda commit: files))
    with pytest.raises(ReleaseFailed, match=r"dns_label names one address, .* are: none") as failed:
        target.preview(make_image("v1"))
    assert failed.value.fault == "candidate"


def test_without_azure_the_region_must_be_said(open_environment: Callable[..., Target]) -> None:
    with pytest.raises(SettingsError, match=r"environments.local.location: dns_label needs the cluster's region"):
        open_environment("kubernetes://anywhere/x", 'dns_label = "digits"')
