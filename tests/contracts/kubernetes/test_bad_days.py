"""The cluster, or the namespace, goes away in the middle; and a first release that leaves nothing behind."""

import json
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tandem.errors import ReleaseFailed, TandemError
from tandem.targets import transitions
from tandem.targets.advance import advance
from tandem.targets.kubernetes.objects import File
from tests.contracts.kubernetes.place import Place, as_it_is, begin, bring_in, go_to, pods, quick, service, take_back
from tests.kubernetes_app import DEPLOYMENT, app_files

FOLDER = "deployments/digits/kubernetes/"
KINDS = (
    "deployments,replicasets,pods,services,endpointslices,configmaps,secrets,hpa,serviceaccounts,poddisruptionbudgets"
)
ACCOUNT = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: digits}\n"
BUDGET = """
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: digits}
spec: {maxUnavailable: 1, selector: {matchLabels: {app: digits}}}
"""

DRAINS = DEPLOYMENT.replace("sleep: {seconds: 3}", "sleep: {seconds: 20}").replace(  # in which a busy kube-proxy hears
    "terminationGracePeriodSeconds: 5", "terminationGracePeriodSeconds: 25"
)


def config_map(name: str, size: int) -> File:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"a": "x" * size}}
    return File(f"{FOLDER}{name}.yaml", json.dumps(body).encode())


def there(place: Place) -> set[str]:
    return set(place.kubectl("get", KINDS, "-o", "name").split())


def test_a_first_release_that_fails_leaves_nothing_but_the_state(place: Place) -> None:
    before, target = there(place), place.target()
    more = (File(f"{FOLDER}account.yaml", ACCOUNT.encode()), File(f"{FOLDER}budget.yaml", BUDGET.encode()))
    worker = quick(lambda b: b["spec"].update(replicas=2), name="worker")
    place.files = (*place.files, *more, worker, config_map("rules", 10))
    state = begin(target, image := place.image("v1"), "r-1")
    list(target.roll_out(image, state))
    state = take_back(target, state, ReleaseFailed("wrong answers", "candidate"))
    assert target.running().digests == ()
    deadline = time.monotonic() + 120
    while there(place) != {*before, "configmap/tandem-digits-local"}:  # what hangs on objects goes after them
        assert time.monotonic() < deadline, there(place) - before
        time.sleep(0.2)
    assert [block.why for block in state.value.blocks] == ["wrong answers"]


def test_a_namespace_deleted_in_the_middle_is_nobodys_fault_and_is_not_made_anew(place: Place) -> None:
    target = place.target()
    bring_in(target, place.image("v1"), "r-1")
    state = begin(target, image := place.image("v2", "never-ready"), "r-2")
    steps = target.roll_out(image, state)
    go_to(steps, "objects applied")
    place.real.kubectl("delete", "namespace", place.namespace, "--wait=false")
    with pytest.raises(ReleaseFailed) as failed:
        list(steps)
    assert failed.value.fault == "environment"
    deadline = time.monotonic() + 180
    while target.state().token:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    under_way = state.value.under_way
    assert under_way
    gone = f"the namespace {place.namespace} in .* is gone, or being deleted"
    for call in (
        lambda: advance(target, state, lambda s: transitions.at(s, "roll back", "", "environment")),
        lambda: list(target.restore(under_way.snapshot, state)),
        lambda: list(target.roll_out(image, state)),
    ):
        with pytest.raises(ReleaseFailed, match=gone) as failed:
            call()
        assert failed.value.fault == "environment"
    place.real.kubectl("wait", "--for=delete", f"namespace/{place.namespace}", "--timeout=180s")
    with pytest.raises(ReleaseFailed, match=gone):
        list(target.restore(under_way.snapshot, state))
    with pytest.raises(ReleaseFailed, match=gone):
        target.record(target.state())
    assert place.namespace not in place.real.kubectl("get", "namespaces", "-o", "name")


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "told to end"])
def test_an_api_server_that_ends_in_the_middle_costs_no_release(place: Place, by: signal.Signals) -> None:
    """Killed, its connections are refused; told to end, its watches are silent for a minute while it refuses others."""
    target = place.target()
    bring_in(target, place.image("v1"), "r-1")
    # the control plane's informers come back up to 30 s after the API server, and the deadline goes on meanwhile
    place.files = (quick(lambda b: b["spec"].update(replicas=2, progressDeadlineSeconds=300)), service())
    target.cluster.patience = 300.0  # a busy machine may start an API server in more than the usual 90 s
    state = begin(target, image := place.image("v2", "slow"), "r-2")
    steps, said = target.roll_out(image, state), list[str]()
    go_to(steps, "objects applied")
    deadline = time.monotonic() + 120
    while place.kubectl("get", "pods", "-o", "jsonpath={.items[*].spec.nodeName}").count("node") < 3:
        assert time.monotonic() < deadline  # a scheduler that was cut off takes minutes to come back to a pod
        time.sleep(0.05)
    with ThreadPoolExecutor(1) as pool:
        with place.real.without("kube-apiserver", by) as lives:
            rest = pool.submit(lambda: said.extend(progress.message for progress in steps))
            began = time.monotonic()
            while time.monotonic() < began + 8 or lives():
                assert time.monotonic() < began + 120
                time.sleep(0.1)
            assert not rest.done()
        rest.result(400)
    assert by == signal.SIGTERM or any("does not answer: waiting" in message for message in said)
    assert target.running().digests == (image.digest,)


def test_a_state_that_would_not_fit_stops_the_release_before_it_changes_anything(place: Place) -> None:
    target = place.target()
    place.files = (*place.files, config_map("large", 600_000), config_map("larger", 600_000))
    bring_in(target, place.image("v1"), "r-1")
    before, state = as_it_is(place), target.state()
    with pytest.raises(TandemError, match=r"a ConfigMap takes 1000000: .*put large files into the image"):
        begin(target, place.image("v2"), "r-2")
    assert (as_it_is(place), target.state()) == (before, state)


def test_users_lose_no_request_while_a_bad_version_is_tried_and_taken_back(place: Place) -> None:
    place.files = app_files(DRAINS)
    target = place.target()
    bring_in(target, place.image("v1"), "r-1")
    address, over, failed, served = target.running().address, threading.Event(), [], list[str]()

    def ask() -> None:
        while not over.is_set():
            try:
                served.append(httpx.get(f"{address}/version", trust_env=False, timeout=60).json()["version"])
            except (httpx.HTTPError, ValueError) as error:
                failed.append(error)

    ran = pods(place)
    users = [threading.Thread(target=ask) for _ in range(3)]
    for user in users:
        user.start()
    try:
        for version, how in (("v2", "crash"), ("v3", "")):  # one is never ready, one serves before it is found wrong
            state = begin(target, image := place.image(version, how), f"r-{version}")
            failure = ReleaseFailed("wrong answers", "environment")
            try:
                list(target.roll_out(image, state))
            except ReleaseFailed as found:
                failure = found
                assert how, found
            take_back(target, state, failure)
            if how:
                assert pods(place) == ran
    finally:
        over.set()
        for user in users:
            user.join()
    assert (failed, set(served)) == ([], {"v1", "v3"}) and len(served) > 10
