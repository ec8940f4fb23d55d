import io
import itertools
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from tandem.errors import BuildFailed, ModelDamaged, TandemError, Unreachable
from tandem.image_config import ImageConfig, config_bytes, config_of
from tandem.images import carry
from tandem.manifests import CONFIG, blob_of
from tandem.records import Blob, Facts, Image, ImageManifest, Model
from tandem.registries import open_registry
from tandem.seams import Registry

MB = 1024 * 1024
FILES = {
    "weights.onnx": b"w" * (9 * MB),
    "labels.txt": b"cat\ndog\n",
    "vocab/a.json": b"{}",
    "vocab/empty.txt": b"",
}
TIME = datetime(2024, 5, 6, 9, 8, 7, tzinfo=timezone(timedelta(hours=2)))


class Read(list[str]):
    """The names of the files that were read, in order."""

    def model(self, files: Mapping[str, bytes] = FILES, *, version: str = "5" * 64, hashes: bool = True) -> Model:
        return Model("digits", version, tuple(self.blob(name, content, hashes) for name, content in files.items()))

    def blob(self, name: str, content: bytes, hashes: bool) -> Blob:
        def read(offset: int) -> Iterator[bytes]:
            self.append(name)
            for start in range(offset, len(content), MB):
                yield content[start : start + MB]

        return replace(blob_of(content, name), open=read, **({} if hashes else {"sha256": None}))


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return open_registry("oci:registry", tmp_path)


@pytest.fixture
def app(registry: Registry) -> Image:
    layer = registry.write(blob_of(b"code", "code.tar"), "application/vnd.docker.image.rootfs.diff.tar")
    config = ImageConfig(env={"PATH": "/venv/bin"}, labels={"dev.tandem.port": "8000"}, diff_ids=(layer.digest,))
    manifest = ImageManifest(registry.write(blob_of(config_bytes(config), "config"), CONFIG), (layer,), {"a": "app"})
    return Image(registry, registry.put(manifest).digest, manifest)


def unpacked(registry: Registry, layers: carry.ModelLayers) -> dict[str, bytes]:
    found = {}
    for layer in layers.layers:
        with tarfile.open(fileobj=io.BytesIO(b"".join(registry.read(layer.digest)))) as tar:
            found |= {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}
    return found


def test_a_model_stands_in_the_image_below_its_path(registry: Registry, app: Image) -> None:
    layers = carry.carry_layers(Read().model(), "/opt/model", registry, {})
    assert unpacked(registry, layers) == {f"opt/model/{name}": content for name, content in FILES.items()}
    image = carry.put_on(app, layers, {"dev.tandem.app": "digits"}, TIME)
    config = config_of(image)
    assert config.diff_ids == (*config_of(app).diff_ids, *(layer.digest for layer in layers.layers))
    assert [layer.digest for layer in image.manifest.layers] == list(config.diff_ids)
    assert image.manifest.layers[0].media_type == "application/vnd.oci.image.layer.v1.tar"
    assert (config.created, config.env) == ("2024-05-06T07:08:07Z", {"PATH": "/venv/bin"})
    assert image.manifest.annotations == {"a": "app", "dev.tandem.app": "digits"}
    assert config.labels["dev.tandem.model.version"] == "5" * 64
    assert config.labels["dev.tandem.model.path"] == "/opt/model"
    assert config.labels["dev.tandem.port"] == "8000"
    assert registry.tags() == []


def test_the_same_model_in_any_order_gives_the_same_image(registry: Registry, app: Image) -> None:
    model = Read().model()
    turned = replace(model, files=model.files[::-1])
    one, other = (
        carry.put_on(app, carry.carry_layers(each, "/model", registry, {}), {}, TIME) for each in (model, turned)
    )
    assert one.digest == other.digest


def test_two_image_manifests_never_share_a_config_by_which_a_node_would_take_one_for_the_other(
    registry: Registry, app: Image
) -> None:
    layers = carry.carry_layers(Read().model(), "/model", registry, {})
    one, other = (carry.put_on(app, layers, {"dev.tandem.recipe": recipe}, TIME) for recipe in ("1" * 64, "2" * 64))
    assert one.digest != other.digest
    assert one.manifest.config.digest != other.manifest.config.digest


def test_known_weights_are_not_read_again(registry: Registry, app: Image) -> None:
    image = carry.put_on(app, carry.carry_layers(Read().model(), "/model", registry, {}), {}, TIME)
    read = Read()
    new = read.model({**FILES, "labels.txt": b"cat\ncow\n"}, version="6" * 64)
    layers = carry.carry_layers(new, "/model", registry, carry.remember([app.manifest, image.manifest]))
    assert "weights.onnx" not in read
    assert [layer.size > 9 * MB for layer in layers.reused] == [True]
    assert [layer.size > 9 * MB for layer in layers.carried] == [False]
    assert unpacked(registry, layers)["model/labels.txt"] == b"cat\ncow\n"


def test_weights_that_the_registry_lost_are_carried_again(registry: Registry, app: Image, tmp_path: Path) -> None:
    image = carry.put_on(app, carry.carry_layers(Read().model(), "/model", registry, {}), {}, TIME)
    other = open_registry("oci:other", tmp_path)
    layers = carry.carry_layers(Read().model(), "/model", other, carry.remember([image.manifest]))
    assert layers.reused == ()
    assert layers.layers == image.manifest.layers[1:]
    assert unpacked(other, layers)["model/weights.onnx"] == FILES["weights.onnx"]


def test_another_path_in_the_image_is_another_layer(registry: Registry, app: Image) -> None:
    image = carry.put_on(app, carry.carry_layers(Read().model(), "/model", registry, {}), {}, TIME)
    layers = carry.carry_layers(Read().model(), "/weights", registry, carry.remember([image.manifest]))
    assert layers.reused == ()


def published(model: Model, **changed: str) -> Model:
    """With the names of its layers in its model manifest, or with these in their place."""
    names = carry.named(model.files, "/model")
    return replace(model, facts=Facts(layers={key: changed.get("name") or name for key, name in names.items()}))


def test_a_layer_is_known_by_the_name_that_its_publisher_gave_it(registry: Registry, app: Image) -> None:
    read = Read()
    first = carry.carry_layers(read.model(), "/model", registry, {})
    named = published(read.model())
    assert sorted(named.facts.layers.values()) == sorted(layer.digest[7:] for layer in first.layers)
    read.clear()
    again = carry.carry_layers(named, "/model", registry, {})
    assert (again.layers, again.carried, read) == (first.layers, (), [])


def test_a_damaged_file_does_not_ride_by_its_layers_name(registry: Registry) -> None:
    good, bad = Read().model(), Read().model({**FILES, "weights.onnx": b"v" * (9 * MB)})
    files = tuple(replace(file, sha256=right.sha256) for file, right in zip(bad.files, good.files, strict=True))
    damaged = replace(bad, files=files, facts=published(good).facts)
    with pytest.raises(ModelDamaged, match=r"weights\.onnx gave 9437184 bytes of SHA-256"):
        carry.carry_layers(damaged, "/model", registry, {})


def test_a_wrong_name_of_a_layer_is_found_and_the_model_rides_by_its_right_one(registry: Registry) -> None:
    right = carry.carry_layers(Read().model(), "/model", registry, {}).layers
    misnamed = published(Read().model(), name="0" * 64)
    assert carry.carry_layers(misnamed, "/model", registry, {}).layers == right


def test_hashes_that_nobody_published_are_learned_and_the_version_is_remembered(registry: Registry, app: Image) -> None:
    layers = carry.carry_layers(Read().model(hashes=False), "/model", registry, {})
    assert layers.learned == {name: blob_of(content, name).sha256 for name, content in FILES.items()}
    known = carry.remember([carry.put_on(app, layers, {}, TIME).manifest])
    read = Read()
    assert carry.carry_layers(read.model(hashes=False), "/model", registry, known).carried == ()
    assert read == []
    assert carry.carry_layers(read.model(version="6" * 64, hashes=False), "/model", registry, known).reused == ()


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_not_what_the_model_manifest_says_does_not_ride(registry: Registry, name: str) -> None:
    files = {each.name: each for each in Read().model().files}
    wrong = files | {name: replace(files[name], sha256="0" * 64)}
    with pytest.raises(ModelDamaged, match=rf"digits 555555555555: {name}.*publish the model again"):
        carry.carry_layers(Model("digits", "5" * 64, tuple(wrong.values())), "/model", registry, {})


@pytest.mark.parametrize("change", [-1, 1])
def test_a_file_that_is_cut_or_grew_does_not_ride(registry: Registry, change: int) -> None:
    file = Read().model().files[0]
    model = Model("digits", "5" * 64, (replace(file, size=file.size + change),))
    with pytest.raises(ModelDamaged, match=r"weights\.onnx gave"):
        carry.carry_layers(model, "/model", registry, {})


def test_the_first_failure_stops_what_else_is_on_its_way(registry: Registry) -> None:
    def fails(offset: int) -> Iterator[bytes]:
        yield b"x"
        raise Unreachable("the store is gone")

    blobs = (Blob("a", 9 * MB, None, fails), Blob("b", 2**50, None, lambda offset: itertools.repeat(b"x")))
    with pytest.raises(Unreachable, match="the store is gone"):
        carry.carry_layers(Model("m", "5" * 64, blobs), "/model", registry, {})


def test_a_whiteout_among_the_models_files_is_refused(registry: Registry) -> None:
    with pytest.raises(BuildFailed, match=r"\.wh\."):
        carry.carry_layers(Read().model({"vocab/.wh.labels.txt": b""}), "/model", registry, {})


def test_thousands_of_small_files_share_layers() -> None:
    files = [blob_of(b"x" * 20_000, f"{number:05}.bin") for number in range(4000)]
    packs = carry.packed(files)
    assert [len(pack) for pack in packs] == [1677, 1677, 646]
    assert all(sum(file.size for file in pack) <= carry.PACK for pack in packs)


def test_a_model_of_no_files_brings_no_layer(registry: Registry) -> None:
    assert carry.carry_layers(Model("m", "5" * 64, ()), "/model", registry, {}).layers == ()


class Cutting:
    """A registry's upload that is cut in the middle of a file and goes on where it was."""

    def __init__(self, registry: Registry, at: int) -> None:
        self.registry, self.at = registry, at

    def write(self, blob: Blob, media_type: str) -> object:
        def resumed(offset: int) -> Iterator[bytes]:
            got = b""
            for piece in blob.open(0):
                got += piece
                if len(got) >= self.at:
                    break
            got = got[: self.at]
            yield got
            yield from blob.open(len(got))

        return self.registry.write(replace(blob, open=resumed), media_type)


@pytest.mark.parametrize("at", [0, 1024, 5 * MB, 9 * MB + 1024, 9 * MB + 2047])
@pytest.mark.parametrize("right", [True, False])
def test_an_upload_that_was_cut_and_resumed_is_checked_as_a_whole(registry: Registry, at: int, right: bool) -> None:
    file = Read().model().files[0]
    model = Model("m", "5" * 64, (file if right else replace(file, sha256="0" * 64),))
    try:
        layers = carry.carry_layers(model, "/model", Cutting(registry, at), {})
    except TandemError as error:
        assert isinstance(error, ModelDamaged) and not right
    else:
        assert right and unpacked(registry, layers) == {"model/weights.onnx": FILES["weights.onnx"]}
