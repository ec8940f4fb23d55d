import subprocess
import sys
import tarfile
from datetime import UTC, datetime
from pathlib import Path

from tandem.images import open_builder
from tandem.records import Commit, Source
from tandem.registries import open_registry
from tandem.settings import ImageSettings

LOCK = Path(__file__).parents[2] / "app" / "requirements.txt"


def test_the_sample_apps_own_wheels_run_from_an_unpacked_image(tmp_path: Path) -> None:
    checkout, root, run = tmp_path / "checkout", tmp_path / "root", tmp_path / "run"
    checkout.mkdir()
    (checkout / "requirements.txt").write_text(LOCK.read_text())
    (checkout / "app.py").write_text(
        "import numpy, onnxruntime, flask, PIL\nprint(flask.__file__, numpy.arange(3).sum())\n"
    )
    settings = ImageSettings(registry="oci:registry", requirements="requirements.txt", command=("python", "app.py"))
    registry = open_registry(settings.registry, root)
    commit = Commit("c" * 40, "Ada", "ada@example.org", "Say hello", datetime(2024, 5, 6, tzinfo=UTC))
    builder = open_builder(settings, root, lambda url: open_registry(url, root))
    image = builder.build(Source(commit, str(checkout)), settings, registry)

    for layer in image.manifest.layers:
        file = tmp_path / "layer.tar"
        with file.open("wb") as stream:
            stream.writelines(registry.read(layer.digest))
        with tarfile.open(file) as tar:
            tar.extractall(run, filter="tar")
    (run / "venv" / "bin" / "python").symlink_to(sys.executable)
    (run / "venv" / "pyvenv.cfg").write_text(f"home = {Path(sys._base_executable).parent}\n")

    def said(*argv: str) -> str:
        env = {"PATH": f"{run}/venv/bin:/usr/bin:/bin", "ORT_DISABLE_TELEMETRY": "1"}
        return subprocess.run(argv, cwd=run / "app", env=env, capture_output=True, text=True, check=True).stdout

    assert said(str(run / "venv/bin/python"), "app.py").split() == [
        f"{run}/venv/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages/flask/__init__.py",
        "3",
    ]
    assert said(str(run / "venv/bin/gunicorn"), "--version").startswith("gunicorn")
    assert "Flask" in said(str(run / "venv/bin/flask"), "--version")
