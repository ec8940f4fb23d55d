"""An image is tried as a pod of a real cluster: good ones pass, bad ones are told apart from a bad cluster."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tandem.errors import ImageFailed, ReleaseFailed
from tandem.image_config import ImageConfig
from tandem.manifests import image_of
from tandem.records import Image
from tandem.registries import open_registry
from tandem.settings import Request, VerifySettings
from tandem.targets.kubernetes.cluster import Cluster as Namespace
from tandem.targets.kubernetes.trial import Wish, try_as_pod
from tests import kubernetes_cluster
from tests.kubernetes_cluster import Cluster
from tests.service.images import SYSTEM, Images, put

namespace = kubernetes_cluster.namespace
SERVE = """
import http.server, signal, sys, threading
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"7")
    def log_message(self, *args):
        print("asked", self.path, flush=True)
server = http.server.ThreadingHTTPServer(("", 8000), Handler)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever(poll_interval=0.05)
"""
pytestmark = pytest.mark.timeout(900)
DEAF = SERVE.replace("lambda *_: threading.Thread(target=server.shutdown).start()", "lambda *_: None")
ASKED = VerifySettings(ready="/", time_limit=60, request=(Request(path="/answer", contains="7", within=60),))
WISH = Wish(ASKED, 8000, 128 * 1024**2, stop_limit=3)
Made = Callable[..., Image]


@pytest.fixture
def made(images: Images, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """An image of Debian's Python that runs a program, as a user."""
    place, _, digest = images.base.partition("@")
    registry = open_registry(place, tmp_path_factory.mktemp("made"))
    base = image_of(registry, digest)
    assert base is not None

    def make(program: str, user: str = "10001") -> Image:
        command = ("python3", "-c", program)
        config = ImageConfig(env={"PATH": SYSTEM, "PYTHONUNBUFFERED": "1"}, user=user, command=command)
        found = image_of(registry, put(registry, list(base.manifest.layers), config))
        assert found is not None
        return found

    return make


@pytest.fixture
def place(cluster: Cluster, namespace: str) -> Namespace:
    """The trials' namespace, as strict as deployments/server/trials makes it."""
    cluster.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    return Namespace(cluster.api(), namespace, "this cluster")


def left(place: Namespace) -> list[str]:
    return [
        each["metadata"]["name"] for each in place.items("v1", "Pod")[0] if "deletionTimestamp" not in each["metadata"]
    ]


def test_a_good_image_passes_and_nothing_is_left(place: Namespace, made: Made) -> None:
    trial = try_as_pod(place, made(SERVE), replace(WISH, stop_limit=60))
    assert trial.where.startswith("a pod of") and trial.checks[0].ok and trial.stop_seconds < 60
    assert left(place) == []


@pytest.mark.parametrize(
    ("program", "user", "says"),
    [
        ("print('no model'); raise SystemExit(3)", "10001", r"exit code 3(.|\n)*no model"),
        (SERVE.replace('b"7"', 'b"8"'), "10001", r"does not contain|'7'|\"7\""),
        (SERVE.replace("(200)", "(503)"), "10001", r"did not answer 200 within 8 s(.|\n)*asked"),
        (DEAF, "10001", r"did not end within 3 s of SIGTERM"),
        (SERVE, "0", r"USER 10001"),
        (SERVE, "nobody", r"USER 10001"),
        ("x = bytearray(1024**3); print(len(x))", "10001", r"more memory|exit code"),
    ],
    ids=["crashes", "wrong", "never ready", "deaf", "root", "by name", "greedy"],
)  # fmt: skip
def test_a_bad_image_is_the_images_fault(place: Namespace, made: Made, program: str, user: str, says: str) -> None:
    limit = 8.0 if "200 within" in says else 60.0  # in which it starts and is asked
    wish = replace(WISH, verify=ASKED.model_copy(update={"time_limit": limit}))
    with pytest.raises(ImageFailed, match=says):
        try_as_pod(place, made(program, user), wish)
    assert left(place) == []


def test_an_image_that_cannot_be_pulled_is_the_clusters_fault(place: Namespace, made: Made) -> None:
    gone = made(SERVE)
    elsewhere = replace(gone, digest="sha256:" + "0" * 64)
    with pytest.raises(ReleaseFailed, match="cannot be tried in this cluster") as refused:
        try_as_pod(place, elsewhere, WISH)
    assert refused.value.fault == "environment" and left(place) == []
