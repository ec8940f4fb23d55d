"""Three services of other people, without one line for Tandem in them, through the whole line by the real command."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tandem.registries import evidence, open_registry
from tests.conftest import free_port

APPS = Path(__file__).parent / "strangers"
TANDEM = Path(sys.executable).with_name("tandem")


@dataclass
class Stranger:
    """Somebody's repository, and what a person does in it."""

    root: Path
    app: str
    environ: dict[str, str]
    address: str = ""

    def tandem(self, *words: str, fails: int = 0) -> str:
        """What the command prints; its exit code must be `fails`."""
        done = subprocess.run([TANDEM, *words], cwd=self.root, env=self.environ, capture_output=True, text=True)
        assert done.returncode == fails, f"tandem {' '.join(words)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def commit(self, subject: str, *edits: tuple[str, str, str]) -> None:
        """A commit of everything, after replacing texts: (file, old, new)."""
        for name, old, new in edits:
            text = (self.root / name).read_text()
            assert old in text, f"{old!r} is not in {name}:\n{text}"
            (self.root / name).write_text(text.replace(old, new))
        self._git("add", "-A")
        self._git("commit", "-qm", subject)

    def publish(self, name: str, content: dict[str, Any]) -> None:
        """A model of one file."""
        folder = self.root.parent / "model"
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(content))
        assert self.tandem("publish", self.app, str(folder)).startswith(self.app)

    def ship(self) -> str:
        """Integrate what is newest and release it; the candidate's tag. Where it answers is remembered."""
        tag = self.tandem("integrate", self.app).split()[0]
        said = self.tandem("release", self.app, "local")
        assert said.startswith(f"{tag} runs in local at http://"), said
        self.address = said.split()[-1]
        return tag

    def ask(self, path: str, body: object = None) -> Any:
        """What the users get, as JSON."""
        answer = httpx.request("GET" if body is None else "POST", self.address + path, json=body, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def _git(self, *words: str) -> None:
        subprocess.run(
            ["git", "-c", "user.name=ann", "-c", "user.email=ann@example.org", *words], cwd=self.root, check=True
        )


@pytest.fixture
def stranger(server: str, tmp_path: Path) -> Iterator[Callable[[str], Stranger]]:
    """Makes a repository of one of the apps in `strangers`, with one commit; all it started ends with the test."""
    made = []
    environ = {
        name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "PYTHON", "TANDEM_"))
    }
    environ |= {"PREFECT_API_URL": server, "PREFECT_HOME": str(tmp_path / "prefect")}

    def make(app: str) -> Stranger:
        root = tmp_path / app
        shutil.copytree(APPS / app, root, ignore=shutil.ignore_patterns("__pycache__"))
        new = Stranger(root, app.replace("_", "-"), environ)
        new._git("init", "-qb", "main")
        new.commit("The first line of it")
        made.append(new)
        return new

    yield make
    for each in made:
        each.tandem("down", "--everything")


def test_a_flask_factory_in_a_sub_package_with_unlocked_requirements(stranger: Callable[[str], Stranger]) -> None:
    shop = stranger("flask_factory")
    toml = "deployments/flask-factory/app.toml"
    said = shop.tandem("init")
    assert 'WEIGHTS_PATH = "{model}" seems to be one file of the model' in said
    assert "test-requirements.txt" in shop.tandem("check", fails=1), "it says what is not committed yet"
    shop.commit("Ship it", (toml, 'WEIGHTS_PATH = "{model}"', 'WEIGHTS_PATH = "{model}/weights.json"'))
    shop.publish("weights.json", {"apples": 2})
    shop.tandem("check")
    first = shop.ship()
    assert shop.ask("/score", {"apples": 3}) == {"score": 6, "release": "first"}
    registry = open_registry("oci:.tandem/registry/flask-factory", shop.root)
    (lock,) = evidence.find(registry, str(registry.resolve(first).digest), evidence.LOCK)
    assert b"flask==" in lock and lock.count(b"--hash=sha256:") == lock.count(b"==") > 3, "what was resolved is kept"
    shop.commit("Second", ("shop/scoring/__init__.py", '"first"', '"second"'))
    second = shop.ship()
    assert shop.ask("/score", {"apples": 3}) == {"score": 6, "release": "second"}
    assert shop.tandem("rollback", "flask-factory", "local", "--why", "too many apples").startswith(f"{first} runs in")
    assert shop.ask("/score", {"apples": 3})["release"] == "first"
    status = shop.tandem("status")
    assert f"runs {first} at {shop.address}" in status and "too many apples" in status
    listed = shop.tandem("candidates", "flask-factory")
    assert listed.index(second) < listed.index(first) and "runs in local" in listed


def test_a_fastapi_app(stranger: Callable[[str], Stranger]) -> None:
    rain = stranger("fastapi_app")
    rain.tandem("init")
    rain.commit("Ship it")
    rain.publish("chances.json", {"Bergen": 0.9})
    first = rain.ship()
    assert rain.ask("/rain/Bergen") == {"city": "Bergen", "chance": 0.9, "release": "first"}
    rain.publish("chances.json", {"Bergen": 1.0})
    rain.commit("Second", ("service/main.py", '"first"', '"second"'))
    second = rain.ship()
    assert rain.ask("/rain/Bergen") == {"city": "Bergen", "chance": 1.0, "release": "second"}
    assert rain.tandem("rollback", "fastapi-app", "local").startswith(first)
    assert rain.ask("/rain/Bergen")["chance"] == 0.9
    assert "unblocked" in rain.tandem("unblock", "fastapi-app", "local", second, "--why", "it did rain")


def test_one_file_that_is_started_as_python_app_py_on_a_port_of_its_own(stranger: Callable[[str], Stranger]) -> None:
    greeter = stranger("plain_script")
    greeter.commit("A port that is free here", ("app.py", "PORT = 5057", f"PORT = {free_port()}"))
    greeter.tandem("init")
    greeter.commit("Ship it")
    greeter.publish("words.json", {"en": "Hello", "no": "Hei"})
    first = greeter.ship()
    assert greeter.ask("/no") == {"greeting": "Hei!", "release": "first"}
    greeter.commit("Second", ("app.py", '"first"', '"second"'))
    second = greeter.tandem("integrate", "plain-script").split()[0]
    greeter.tandem("block", "plain-script", "local", second, "--why", "not on a Friday")
    assert greeter.tandem("release", "plain-script", "local").startswith("nothing")
    assert "not on a Friday" in greeter.tandem("status")
    greeter.tandem("unblock", "plain-script", "local", second, "--why", "it is Monday")
    assert greeter.ship() == second
    assert greeter.ask("/no")["release"] == "second"
    assert greeter.tandem("rollback", "plain-script", "local").startswith(first)
    assert greeter.tandem("prune", "plain-script", "--dry-run") == "nothing to remove\n"
