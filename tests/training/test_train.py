"""The sample model's training: the same bytes from the same arguments, and a golden sample beside them."""

import json
import subprocess
import sys
from pathlib import Path

import onnx

from app import train as in_process

ROOT = Path(__file__).parents[2]


def train(folder: Path, *arguments: str) -> str:
    command = [sys.executable, "app/train.py", str(folder), *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def test_the_same_arguments_give_the_same_bytes_and_others_another_model(tmp_path: Path) -> None:
    said = train(tmp_path / "one", "--sample", str(tmp_path / "sample-7.png"))
    train(tmp_path / "two")
    in_process.train(tmp_path / "three", seed=3, hidden=32)
    assert "accuracy 0.9" in said
    names = sorted(file.name for file in (tmp_path / "one").iterdir())
    assert names == ["metrics.json", "model.json", "model.onnx"]
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert (tmp_path / "one/model.onnx").read_bytes() != (tmp_path / "three/model.onnx").read_bytes()
    domains = [opset.domain for opset in onnx.load(tmp_path / "one/model.onnx").opset_import]
    assert domains == sorted(domains)  # in whatever order this process' hashes would have put them
    assert json.loads((tmp_path / "one/metrics.json").read_text())["accuracy"] >= 0.95
    assert json.loads((tmp_path / "one/model.json").read_text())["golden"]["label"] == "7"
    assert (tmp_path / "sample-7.png").read_bytes().startswith(b"\x89PNG")
