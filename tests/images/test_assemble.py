import io
import json
import logging
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tandem.errors import BuildFailed, SettingsError
from tandem.image_config import config_of
from tandem.images import base_identity, open_builder
from tandem.images.interpreter import this_interpreter
from tandem.records import Image, Source
from tandem.settings import ImageSettings

Make = Callable[..., Source]
Settings = Callable[..., ImageSettings]
Build = Callable[..., Image]

BUILDS = Path(__file__).with_name("builds.py")
X_Y = this_interpreter().minor
SITE = f"venv/lib/python{X_Y}/site-packages"


def members(image: Image, number: int) -> dict[str, tarfile.TarInfo]:
    """The paths of one layer."""
    content = b"".join(image.registry.read(image.manifest.layers[number].digest))
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        return {member.name: member for member in tar}


def text(image: Image, number: int, path: str) -> str:
    """A file of one layer."""
    content = b"".join(image.registry.read(image.manifest.layers[number].digest))
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        file = tar.extractfile(path)
        assert file
        return file.read().decode()


@pytest.fixture
def no_pip(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """no_pip() lets any pip that is run from then on find nothing."""
    return lambda: monkeypatch.setenv("PIP_FIND_LINKS", "/nowhere")


@pytest.fixture
def greeter(wheel: Callable[..., str]) -> str:
    """A locked requirements file of two wheels; one has a script."""
    entry = {"hello-1.0.dist-info/entry_points.txt": "[console_scripts]\nhello = hello:main\n"}
    files = {"hello.py": "def main():\n    print({'a', 'b', 'c'} & {'c'})\n", "broken.py": "print 'old'\n", **entry}
    one = wheel("hello", "1.0", files)
    other = wheel("words", "2.0", {"words/__init__.py": "GREETING = ('hello', 'hello')\n"})
    return f"hello==1.0 --hash={one}\nwords==2.0 \\\n    --hash={other}\nnever==1 ; os_name == 'nt' --hash={one}\n"


def test_the_image_is_the_same_bit_for_bit_whatever_surrounds_the_build(
    source: Make, greeter: str, wheelhouse: Path, tmp_path: Path
) -> None:
    commit = source({"app.py": "print('hello')\n", "requirements.txt": greeter, "a/b.txt": "", "a/a.txt": ""})
    other = tmp_path / "another checkout"
    other.mkdir()
    for name in ("requirements.txt", "a/a.txt", "a/b.txt", "app.py"):  # another order on the disk, other times
        (other / name).parent.mkdir(exist_ok=True)
        (other / name).write_text(Path(commit.folder, name).read_text())
        os.utime(other / name, (1, 1))
    surroundings = [
        (tmp_path / "one", commit.folder, "022", {"PYTHONHASHSEED": "1", "TZ": "Asia/Tokyo"}, tmp_path),
        (tmp_path / "two", other, "077", {"PYTHONHASHSEED": "2", "TZ": "UTC", "LANG": "C", "HOME": "/"}, Path("/")),
    ]
    running = [
        subprocess.Popen(
            [sys.executable, BUILDS, root, checkout, umask, "requirements.txt"],
            env=os.environ | variables,
            cwd=cwd,
            stdout=subprocess.PIPE,
        )
        for root, checkout, umask, variables, cwd in surroundings
    ]
    one, two = (process.communicate(timeout=240)[0] for process in running)
    assert one == two
    assert one.startswith(b"sha256:")


def test_packages_files_and_config_are_what_app_toml_asks_for(
    source: Make, settings: Settings, build: Build, greeter: str, no_pip: Callable[[], None]
) -> None:
    commit = source({"app.py": "print('hello')\n", "requirements.txt": greeter})
    wish = settings(
        requirements="requirements.txt",
        command=["hello", "--bind", "{listen}", "--model={model}"],
        env={"MODEL_DIR": "{model}", "PORT": "{port}"},
        files=["*.py"],
    )
    image = build(commit, wish, model="/models/x")

    packages = members(image, 0)
    for path in ("hello.py", "words/__init__.py", f"__pycache__/hello.cpython-{X_Y.replace('.', '')}.pyc"):
        assert f"{SITE}/{path}" in packages
    assert packages["venv/bin/hello"].mode == 0o755
    assert packages["venv/bin/python3"].linkname == packages[f"venv/bin/python{X_Y}"].linkname == "python"
    assert {"venv/bin/python", "venv/pyvenv.cfg", "venv/wheels"}.isdisjoint(packages)
    assert {(m.mtime, m.uid, m.gid, m.uname) for m in packages.values()} == {(315532800, 0, 0, "")}
    assert text(image, 0, "venv/requirements.lock").startswith("hello==1.0 \\\n    --hash=sha256:")
    assert {name for name, member in members(image, 1).items() if member.isfile()} == {"app/app.py"}

    config = config_of(image)
    assert config.command == ("hello", "--bind", "0.0.0.0:8000", "--model=/models/x")
    assert config.env["PATH"].startswith("/venv/bin:/usr/local/")
    assert (config.env["MODEL_DIR"], config.env["PORT"], config.env["PYTHONUNBUFFERED"]) == ("/models/x", "8000", "1")
    assert (config.workdir, config.user, config.ports, config.stop_signal) == (
        "/app",
        "10001",
        ("8000/tcp",),
        "SIGTERM",
    )
    assert config.created == "2024-05-06T07:08:09+00:00"
    assert config.labels["dev.tandem.base"] == f"none {this_interpreter().tag}"
    assert json.loads(config.labels["dev.tandem.command"]) == list(wish.command)
    assert json.loads(config.labels["dev.tandem.env"]) == dict(wish.env)
    assert (config.labels["dev.tandem.model.path"], config.labels["dev.tandem.port"]) == ("/models/x", "8000")
    assert list(config.diff_ids) == [layer.digest for layer in image.manifest.layers]
    assert image.manifest.annotations["org.opencontainers.image.revision"] == commit.commit.id

    no_pip()  # a change of the code alone needs none
    changed = build(source({"app.py": "print('hi')\n"}), wish, model="/models/x")
    assert changed.manifest.layers[0] == image.manifest.layers[0]
    assert changed.manifest.layers[1].digest != image.manifest.layers[1].digest


def test_a_fresh_machine_finds_the_packages_by_their_annotation(
    source: Make, settings: Settings, build: Build, greeter: str, no_pip: Callable[[], None], tmp_path: Path
) -> None:
    commit = source({"app.py": "", "requirements.txt": greeter})
    wish = settings(requirements="requirements.txt", registry=f"oci:{tmp_path}/shared")
    first = build(commit, wish, tmp_path / "one machine")
    layer = first.manifest.layers[0]
    no_pip()
    again = build(commit, wish, tmp_path / "another", remembered={layer.annotations["dev.tandem.packages"]: layer})
    assert again.digest == first.digest


def test_unlocked_requirements_are_resolved_once_and_the_lock_rides_along(
    source: Make,
    settings: Settings,
    build: Build,
    wheel: Callable[..., str],
    no_pip: Callable[[], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    wheel("hello", "1.0", metadata="Requires-Dist: words>=1\nRequires-Dist: colours ; extra == 'more'\n")
    wheel("words", "1.0")
    wheel("words", "2.0")
    commit = source({"app.py": "", "requirements.txt": "hello\n-c bounds.txt\n", "bounds.txt": "words<2\n"})
    with caplog.at_level(logging.INFO, "tandem.images"):
        image = build(commit, settings(requirements="requirements.txt"))
    assert [line.split(" ")[0] for line in text(image, 0, "venv/requirements.lock").splitlines()[::2]] == [
        *("hello==1.0", "words==1.0")
    ]
    assert "as reproducible as the package index is" in caplog.text
    no_pip()
    assert build(commit, settings(requirements="requirements.txt")).digest == image.digest


def test_a_wrong_hash_stops_the_build(
    source: Make, settings: Settings, build: Build, wheel: Callable[..., str]
) -> None:
    wheel("hello", "1.0")
    commit = source({"app.py": "", "requirements.txt": f"hello==1.0 --hash=sha256:{'0' * 64}\n"})
    with pytest.raises(BuildFailed, match="not the one that was locked"):
        build(commit, settings(requirements="requirements.txt"))


@pytest.mark.parametrize("table", [{"workdir": "/"}, {"workdir": "app"}, {"workdir": "/venv/x"}, {"command": []}])
def test_settings_that_cannot_be_are_refused(
    source: Make, settings: Settings, build: Build, table: dict[str, object]
) -> None:
    with pytest.raises(SettingsError, match="image"):
        build(source({"app.py": ""}), settings(**table))


def test_an_unknown_builder_is_refused_with_those_there_are(settings: Settings, tmp_path: Path) -> None:
    unknown = settings().model_copy(update={"builder": "magic"})
    with pytest.raises(SettingsError, match=r"'magic' is not known here.*assemble"):
        open_builder(unknown, tmp_path, lambda url: _no_registry())


def test_without_a_base_the_recipe_names_this_interpreter(settings: Settings) -> None:
    identity = base_identity(settings(), lambda url: _no_registry())
    assert identity.startswith(f"none cpython-{X_Y}-{sys.platform}-")


def _no_registry() -> Iterator[None]:
    raise AssertionError("no registry is asked")
