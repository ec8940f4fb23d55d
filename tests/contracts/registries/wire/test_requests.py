"""How much is asked of a registry: each request costs a round trip, and each connection two or three more."""

from datetime import UTC, datetime
from pathlib import Path

from tandem.images import open_builder
from tandem.images.carry import carry_layers, put_on, remember
from tandem.manifests import CONFIG, blob_of
from tandem.records import Commit, Image, ImageManifest, Model, Source
from tandem.registries.distribution import DistributionRegistry
from tandem.settings import ImageSettings

TIME = datetime(2026, 1, 1, tzinfo=UTC)
MB = 1024 * 1024


def test_requests_follow_each_other_on_one_connection(registry, front):
    assert registry.resolve("absent") is None
    assert registry.tags() == []
    config = registry.write(blob_of(b"{}", "config.json"), CONFIG)
    layer = registry.write(blob_of(b"x" * (3 * MB), "layer.tar"), "application/vnd.oci.image.layer.v1.tar")
    registry.put(ImageManifest(config, (layer,)), "one")
    assert registry.write(blob_of(b"{}", "config.json"), CONFIG) == config
    assert registry.resolve("one")
    assert len(front.seen) > 10
    assert front.connections == 1


def test_only_what_is_large_is_asked_of_other_repositories(registry, front):
    beside = DistributionRegistry(registry.wire, ("another",))
    for _ in range(2):
        beside.write(blob_of(b"{}", "config.json"), CONFIG)
    assert front.methods() == ["POST", "PUT", "POST"]  # the second time it is there, which one question tells
    assert not any("from=another" in path for _, path, _ in front.seen)
    beside.write(blob_of(b"x" * (3 * MB), "layer.tar"), "application/vnd.oci.image.layer.v1.tar")
    assert any("from=another" in path for _, path, _ in front.seen)


def made(registry: DistributionRegistry, root: Path, code: str, before: list[Image]) -> Image:
    """An image of this code and always the same model, as integrate makes it."""
    (root / "code").mkdir(exist_ok=True)
    (root / "code" / "app.py").write_text(code)
    settings = ImageSettings(registry="unused", files=("app.py",), command=("python", "app.py"))
    builder = open_builder(settings, root, lambda url: registry)
    app = builder.build(Source(Commit("c" * 40, "Ada", "", "", TIME), str(root / "code")), settings, registry)
    model = Model("m", "5" * 64, (blob_of(b"w" * (9 * MB), "weights.bin"),))
    layers = carry_layers(model, "/model", registry, remember(image.manifest for image in before))
    return put_on(app, layers, {}, TIME)


def test_new_code_with_known_weights_and_packages_takes_seven_requests(registry, front, tmp_path):
    first = made(registry, tmp_path, "print(1)", [])
    front.seen.clear()
    second = made(registry, tmp_path, "print(2)", [first])
    assert front.methods() == [
        "POST",  # the packages are there
        "POST", "PUT",  # the app's files
        "HEAD",  # the weights are there
        "POST", "PUT",  # the config
        "PUT",  # the image manifest
    ]  # fmt: skip
    assert second.manifest.layers[-1] == first.manifest.layers[-1]
    assert front.connections == 1
