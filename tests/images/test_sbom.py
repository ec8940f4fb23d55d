import json
from datetime import UTC, datetime
from pathlib import Path

import cyclonedx.schema
import jsonschema
from referencing import Registry, Resource

from tandem.image_config import ImageConfig, config_bytes
from tandem.images.carry import ModelLayers
from tandem.images.sbom import bill
from tandem.manifests import CONFIG, blob_of
from tandem.records import Facts, Image, ImageManifest, Model, Pair
from tandem.registries import open_registry

WHEEL, OTHER, BASE = "a" * 64, "b" * 64, "c" * 64
LOCK = f"""\
Flask==3.1.0 \\
    --hash=sha256:{WHEEL}
onnx==1.2 \\
    --hash=sha256:{WHEEL} \\
    --hash=sha256:{OTHER}
own @ https://wheels.example.org/own-1.0-py3-none-any.whl \\
    --hash=sha256:{OTHER}
"""
PAIR = Pair("1" * 40, "2" * 64, "3" * 64)
TIME = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)


def image(tmp_path, lock):
    registry = open_registry("oci:registry", tmp_path)
    config = ImageConfig(labels={"dev.tandem.base": f"sha256:{BASE}"})
    manifest = ImageManifest(registry.write(blob_of(config_bytes(config), "config"), CONFIG), ())
    return Image(registry, registry.put(manifest).digest, manifest, lock)


def valid_cyclonedx(bom):
    """By OWASP's own JSON schemas, which the library carries."""
    folder = Path(cyclonedx.schema.__file__).parent / "_res"
    names = ("bom-1.6", "jsf-0.82", "spdx")
    bom_1_6, *others = (json.loads((folder / f"{name}.SNAPSHOT.schema.json").read_text()) for name in names)
    registry = Registry().with_resources((other["$id"], Resource.from_contents(other)) for other in others)
    jsonschema.validate(bom, bom_1_6, registry=registry)


def model():
    files = (blob_of(b"weights", "weights.onnx"), blob_of(b"labels", "a/labels.txt"))
    learned = "d" * 64
    without = type(files[0])("late.txt", 3, None, files[0].open)
    facts = Facts({"accuracy": 0.97}, {"data": "digits"})
    whole = Model("digits", "2" * 64, (*files, without), facts)
    return ModelLayers(whole, "/model", (), (), (), {"late.txt": learned})


def test_an_sbom_names_packages_base_and_the_models_files_with_their_hashes(tmp_path):
    content = bill("shop", PAIR, image(tmp_path, LOCK), model(), TIME)
    bom = json.loads(content)
    valid_cyclonedx(bom)
    found = {each["name"]: each for each in bom["components"]}
    assert found["flask"]["purl"] == "pkg:pypi/flask@3.1.0"
    assert found["flask"]["hashes"] == [{"alg": "SHA-256", "content": WHEEL}]
    assert {each["value"] for each in found["onnx"]["properties"]} == {WHEEL, OTHER} and "hashes" not in found["onnx"]
    assert "download_url=https" in found["own"]["purl"]
    assert found["base image"]["hashes"][0]["content"] == BASE
    files = {each["name"]: each["hashes"][0]["content"] for each in found["digits"]["components"]}
    assert files == {
        "/model/weights.onnx": blob_of(b"weights", "x").sha256,
        "/model/a/labels.txt": blob_of(b"labels", "x").sha256,
        "/model/late.txt": "d" * 64,
    }
    assert {"name": "metric:accuracy", "value": "0.97"} in found["digits"]["properties"]
    assert bom["metadata"]["component"]["version"] == PAIR.tag


def test_the_same_image_has_the_same_sbom_byte_for_byte(tmp_path):
    same = [bill("shop", PAIR, image(tmp_path, LOCK), model(), TIME) for _ in range(2)]
    assert same[0] == same[1]
    assert bill("shop", PAIR, image(tmp_path, ""), model(), TIME) != same[0]
