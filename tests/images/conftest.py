import base64
import hashlib
import zipfile
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from tandem.images import open_builder
from tandem.records import Commit, Image, Source
from tandem.registries import open_registry
from tandem.settings import ImageSettings

WriteWheel = Callable[..., str]
COMMIT = Commit("c" * 40, "Ada", "ada@example.org", "Say hello", datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC))


@pytest.fixture
def wheelhouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only index that pip knows in this test: a folder."""
    folder = tmp_path / "wheelhouse"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def wheel(wheelhouse: Path) -> WriteWheel:
    """wheel("name", "1.0", {"name.py": "…"}) writes a wheel into the wheelhouse and gives `sha256:…`."""
    return partial(write_wheel, wheelhouse)


def write_wheel(
    folder: Path,
    name: str,
    version: str,
    files: Mapping[str, str | bytes] | None = None,
    tag: str = "py3-none-any",
    metadata: str = "",
    executable: tuple[str, ...] = (),
) -> str:
    """A wheel in this folder: `sha256:…`."""
    info = f"{name}-{version}.dist-info"
    contents = {
        **({f"{name}.py": f"version = {version!r}\n"} if files is None else files),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{metadata}",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    encoded = {path: text.encode() if isinstance(text, str) else text for path, text in contents.items()}
    rows = [f"{path},sha256={_digest(content)},{len(content)}" for path, content in encoded.items()]
    encoded[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,", ""]).encode()
    file = folder / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(file, "w") as archive:
        for path, content in encoded.items():
            entry = zipfile.ZipInfo(path)
            entry.external_attr = (0o100755 if path in executable else 0o100644) << 16
            archive.writestr(entry, content)
    return f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")


@pytest.fixture
def source(tmp_path: Path) -> Callable[[Mapping[str, str]], Source]:
    """source({"app.py": "…"}) is a commit's folder with these files."""

    def make(files: Mapping[str, str]) -> Source:
        for name, text in files.items():
            file = tmp_path / "checkout" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        return Source(COMMIT, str(tmp_path / "checkout"))

    return make


@pytest.fixture
def settings() -> Callable[..., ImageSettings]:
    """settings(base="none", …): [image] of a small app."""

    def make(**table: object) -> ImageSettings:
        document = {"registry": "oci:registry", "command": ["python", "app.py"], "files": ["**"], **table}
        return ImageSettings.model_validate(document)

    return make


@pytest.fixture
def build(tmp_path: Path) -> Callable[..., Image]:
    """build(source, settings): the app image, in the layout registry below root; root is tmp_path or given."""

    def run(source: Source, image: ImageSettings, root: Path = tmp_path, **options: object) -> Image:
        builder = open_builder(image, root, lambda url: open_registry(url, root), **options)
        return builder.build(source, image, open_registry(image.registry, root))

    return run
