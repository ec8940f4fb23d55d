import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tandem.image_config import ImageConfig, config_bytes
from tandem.images.layers import MEDIA_TYPE, Entry, layer_blob
from tandem.manifests import CONFIG, blob_of
from tandem.records import ImageManifest
from tandem.registries.evidence import TESTS, attach
from tandem.seams import Registry

ENTRA = Path(__file__).with_name("entra.py")
pytestmark = pytest.mark.skipif(not shutil.which("skopeo"), reason="skopeo is not installed")


@pytest.fixture
def skopeo(url: str, tmp_path: Path) -> Callable[..., str]:
    """skopeo("inspect", "v1") asks about a tag as skopeo names it, logged in as `docker login` leaves it."""
    place = url.removeprefix("acr:")
    login = tmp_path / "auth.json"
    if place != url:
        host = place.partition("/")[0]
        refresh = subprocess.run([sys.executable, ENTRA, "refresh", host], check=True, capture_output=True).stdout
        auth = base64.b64encode(b"00000000-0000-0000-0000-000000000000:" + refresh.strip()).decode()
        login.write_text(json.dumps({"auths": {host: {"auth": auth}}}))

    def skopeo(verb: str, tag: str, *more: str) -> str:
        if url.startswith("oci:"):
            argv = ["skopeo", verb, f"{url}:{tag}", *more]
        else:
            argv = ["skopeo", verb, "--tls-verify=false", f"--authfile={login}", f"docker://{place}:{tag}", *more]
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout

    return skopeo


def test_skopeo_reads_and_copies_what_was_put(registry: Registry, skopeo: Callable[..., str], tmp_path: Path) -> None:
    layer = registry.write(layer_blob([Entry("model/labels.txt", blob_of(b"cat\ndog\n", "labels.txt"))]), MEDIA_TYPE)
    config = ImageConfig(labels={"dev.tandem.port": "8000"}, diff_ids=(layer.digest,))
    described = registry.write(blob_of(config_bytes(config), "config.json"), CONFIG)
    image = registry.put(ImageManifest(described, (layer,)), tag="v1")
    attach(registry, image, TESTS, {"passed": 3})
    seen = json.loads(skopeo("inspect", "v1"))
    assert seen["Digest"] == image.digest
    assert seen["Labels"] == {"dev.tandem.port": "8000"}
    assert seen["Layers"] == [layer.digest]
    skopeo("copy", "v1", f"dir:{tmp_path}/copy")
    assert (tmp_path / "copy" / layer.digest.removeprefix("sha256:")).stat().st_size == layer.size
