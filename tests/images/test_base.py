import gzip
import io
import json
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tandem.errors import BuildFailed, DigestMismatch, SettingsError
from tandem.image_config import config_of
from tandem.images.base import Foundation, base_identity, foundation, split
from tandem.images.interpreter import this_interpreter
from tandem.manifests import CONFIG, DOCKER_INDEX, blob_of, digest_of
from tandem.records import Image, ImageManifest
from tandem.registries import open_registry
from tandem.settings import ImageSettings

Contents = Mapping[str, str | bytes]
Push = Callable[..., Image]
Settings = Callable[..., ImageSettings]

GLIBC = b"\x7fELF\x00GNU C Library (Debian GLIBC 2.36-9+deb12u7) stable release version 2.36.\nCopyright"
DEBIAN: Contents = {
    "bin": "-> usr/bin",
    "./usr/lib/x86_64-linux-gnu/libc.so.6": b"x" * 2_000_000 + GLIBC,
    "usr/bin/python3": "-> python3.11",
    "usr/bin/python3.11": b"\x7fELF\x003.11.2\x00" + b"x" * 99,
}
LOCAL: Contents = {
    "usr/local/bin/python3": "-> python3.12",
    "usr/local/bin/python3.12": b"\x7fELF",
    "usr/local/lib/libpython3.12.so.1.0": b"\x7fELF\x003.12.4\x00",
}


@pytest.fixture
def push(tmp_path: Path) -> Push:
    """push({"usr/bin/x": b"…", "link": "-> target"}, …) puts a base of these layers, tagged "1"."""

    def run(
        *layers: Contents | bytes,
        tag: str = "1",
        kind: str = "docker.image.rootfs.diff.tar.gzip",
        architecture: str = "amd64",
        **config: object,
    ) -> Image:
        registry, descriptors, diff_ids = open_registry("oci:bases", tmp_path), [], []
        for contents in layers:
            tar = contents if isinstance(contents, bytes) else _tar(contents)
            packed = gzip.compress(tar, 1) if kind.endswith("gzip") else tar
            descriptors.append(registry.write(blob_of(packed, "layer"), f"application/vnd.{kind}"))
            diff_ids.append(digest_of(tar))
        document = {"architecture": architecture, "os": "linux", "config": config, "rootfs": {"diff_ids": diff_ids}}
        written = registry.write(blob_of(json.dumps(document).encode(), "config"), CONFIG)
        manifest = ImageManifest(written, tuple(descriptors))
        return Image(registry, registry.put(manifest, tag).digest, manifest)

    return run


def _tar(contents: Contents) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, content in contents.items():
            info = tarfile.TarInfo(path)
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content.removeprefix("-> ")
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def found(tmp_path: Path, settings: Settings) -> Callable[..., Foundation]:
    """found(): what is known of the base that was pushed."""
    return lambda: foundation(
        settings(base="oci:bases:1"), lambda url: open_registry(url, tmp_path), tmp_path / "cache"
    )


def test_a_distributions_own_python_is_found(push: Push, found: Callable[[], Foundation]) -> None:
    push(DEBIAN)
    assert found().python == "/usr/bin/python3.11"
    assert found().interpreter.identity == "cpython-3.11-linux-x86_64 glibc2.36"
    assert found().interpreter.version == "3.11.2"


def test_the_python_that_comes_first_in_path_is_the_one(push: Push, found: Callable[[], Foundation]) -> None:
    push(DEBIAN, LOCAL)
    assert (found().python, found().interpreter.version) == ("/usr/local/bin/python3.12", "3.12.4")
    push(DEBIAN, LOCAL, Env=["PATH=/usr/bin:/usr/local/bin"])
    assert (found().python, found().interpreter.version) == ("/usr/bin/python3.11", "3.11.2")


def test_what_a_later_layer_deletes_is_not_there(push: Push, found: Callable[[], Foundation]) -> None:
    push(DEBIAN, LOCAL, {"usr/local/bin/.wh.python3": b"", "usr/local/bin/.wh.python3.12": b""})
    assert found().python == "/usr/bin/python3.11"
    push(DEBIAN, LOCAL, {"usr/local/.wh..wh..opq": b""})
    assert found().python == "/usr/bin/python3.11"
    push(DEBIAN, {"usr/.wh.bin": b""})
    with pytest.raises(BuildFailed, match="no python3 in"):
        found()


def test_older_glibc_is_known_by_its_name_and_musl_by_its_loader(push: Push, found: Callable[[], Foundation]) -> None:
    push({**LOCAL, "lib/x86_64-linux-gnu/libc.so.6": "-> libc-2.31.so"}, kind="oci.image.layer.v1.tar")
    assert found().interpreter.platforms()[:2] == ["manylinux_2_31_x86_64", "manylinux_2_30_x86_64"]
    push({**LOCAL, "lib/ld-musl-x86_64.so.1": b"musl"}, kind="oci.image.layer.v1.tar")
    assert found().interpreter.platforms() == ["musllinux_1_2_x86_64", "musllinux_1_1_x86_64", "linux_x86_64"]


def test_a_base_in_which_wheels_cannot_run_is_refused(push: Push, found: Callable[[], Foundation]) -> None:
    push(LOCAL)
    with pytest.raises(BuildFailed, match="no C library"):
        found()
    push(DEBIAN, kind="oci.image.layer.v1.tar+zstd")
    with pytest.raises(BuildFailed, match="zstd"):
        found()
    push(DEBIAN, b"no tar at all")
    with pytest.raises(BuildFailed, match="is no tar that can be read"):
        found()
    base = push(DEBIAN)
    file = base.registry.folder.blob(base.manifest.layers[0].digest)
    file.write_bytes(file.read_bytes() + bytes(3 << 20))  # behind the end, where no tar is read any more
    with pytest.raises(DigestMismatch):
        found()


def test_an_index_gives_the_image_of_the_platform_and_its_digest_is_the_identity(
    push: Push, settings: Settings, tmp_path: Path
) -> None:
    arm, amd = push(LOCAL, tag="arm"), push(DEBIAN, tag="amd")
    platforms = [(arm, "arm64"), (amd, "amd64")]
    entries = [
        {"digest": image.digest, "size": 1, "platform": {"os": "linux", "architecture": name}}
        for image, name in platforms
    ]
    content = json.dumps({"mediaType": DOCKER_INDEX, "manifests": entries}).encode()
    registry = arm.registry
    for image, entry in zip((arm, amd), entries, strict=True):
        entry["size"] = len(registry.manifest(image.digest))
    content = json.dumps({"schemaVersion": 2, "mediaType": DOCKER_INDEX, "manifests": entries}).encode()
    registry.folder.blob(digest_of(content)).write_bytes(content)
    listed = json.loads((tmp_path / "bases" / "index.json").read_text())
    listed["manifests"].append({"mediaType": DOCKER_INDEX, "digest": digest_of(content), "size": len(content)})
    (tmp_path / "bases" / "index.json").write_text(json.dumps(listed))

    def identity(platform: str) -> str:
        base = f"oci:bases@{digest_of(content)}"
        return base_identity(settings(base=base, platform=platform), lambda url: open_registry(url, tmp_path))

    assert (identity("linux/amd64"), identity("linux/arm64")) == (amd.digest, arm.digest)


def test_a_base_by_digest_is_asked_for_once_and_the_image_is_the_same(
    push: Push, settings: Settings, source: Callable[..., object], build: Callable[..., Image], tmp_path: Path
) -> None:
    base = push(DEBIAN, Env=["Z=1", "A=2"], Labels={"b": "1", "a": "2"})
    wish, commit = settings(base=f"oci:bases@{base.digest}"), source({"app.py": ""})
    first = build(commit, wish)
    (tmp_path / "bases").rename(tmp_path / "out of reach")
    assert build(commit, wish).digest == first.digest


def test_a_base_for_another_platform_is_refused(push: Push, found: Callable[[], Foundation]) -> None:
    push(DEBIAN, architecture="arm64")
    with pytest.raises(BuildFailed, match=r"made for linux/arm64, .* platform is linux/amd64"):
        found()


def test_an_image_on_a_base_has_its_layers_its_environment_and_its_python(
    push: Push,
    settings: Settings,
    source: Callable[..., object],
    build: Callable[..., Image],
    wheel: Callable[..., str],
) -> None:
    minor = this_interpreter().minor
    python = {f"usr/local/bin/python{minor}": f"\x00{this_interpreter().version}\x00".encode()}
    base = push(
        {name: content for name, content in DEBIAN.items() if "python" not in name},
        python,
        Env=["LANG=C.UTF-8", "PATH=/usr/local/bin:/bin"],
        Labels={"maintainer": "Ada", "org.opencontainers.image.title": "a base"},
        Entrypoint=["python"],
        User="root",
        ExposedPorts={"1/tcp": {}},
        Healthcheck={"Test": ["NONE"]},
    )
    commit = source({"app.py": "", "requirements.txt": f"hello==1.0 --hash={wheel('hello', '1.0')}\n"})
    image = build(commit, settings(base="oci:bases:1", requirements="requirements.txt"))
    assert [layer.digest for layer in image.manifest.layers[:2]] == [layer.digest for layer in base.manifest.layers]
    assert {layer.media_type for layer in image.manifest.layers[:2]} == {"application/vnd.oci.image.layer.v1.tar+gzip"}
    with tarfile.open(fileobj=io.BytesIO(b"".join(image.registry.read(image.manifest.layers[2].digest)))) as tar:
        assert tar.getmember("venv/bin/python").linkname == f"/usr/local/bin/python{minor}"
        settings_of_venv = tar.extractfile("venv/pyvenv.cfg")
        assert settings_of_venv
        assert settings_of_venv.read().startswith(b"home = /usr/local/bin\n")
    config = config_of(image)
    assert len(config.diff_ids) == len(image.manifest.layers) == 4
    assert (config.env["LANG"], config.env["PATH"]) == ("C.UTF-8", "/venv/bin:/usr/local/bin:/bin")
    assert (config.entrypoint, config.user, config.ports, config.others) == ((), "10001", ("8000/tcp",), {})
    assert (config.labels["dev.tandem.base"], config.labels["maintainer"]) == (base.digest, "Ada")
    assert "org.opencontainers.image.title" not in config.labels


def test_a_base_is_named_by_registry_and_tag_or_digest(settings: Settings, tmp_path: Path) -> None:
    assert split("oci:bases/python:3.12") == ("oci:bases/python", "3.12")
    assert split("oci:bases@sha256:ab") == ("oci:bases", "sha256:ab")
    assert split("localhost:5000/python:3") == ("localhost:5000/python", "3")
    for base in ("oci:bases", "localhost:5000/python", "python"):
        with pytest.raises(SettingsError, match="name a digest or tag"):
            split(base)
    with pytest.raises(BuildFailed, match="no image 9 in oci:bases"):
        base_identity(settings(base="oci:bases:9"), lambda url: open_registry(url, tmp_path))
