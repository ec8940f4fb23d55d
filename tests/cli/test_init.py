"""`tandem init` in strangers' repositories: what it writes is right, or says what a person must correct."""

import re
import subprocess
import tomllib
from pathlib import Path

from tandem.cli import app_toml, deployments
from tandem.cli.survey import Survey
from tandem.settings import Settings

FACTORY = """
import os
from flask import Flask

def create_app(config=None):
    app = Flask(__name__)
    app.model = os.environ["SCORER_MODEL_PATH"]

    @app.route("/health")
    def health():
        return "ok"

    return app
"""
FASTAPI = """
import os
from fastapi import FastAPI

NET = os.getenv("MODEL_FILE", "models/net.onnx")
app = FastAPI()

@app.get("/items/{item}")
def item(item: str): return item

@app.get("/ping")
def ping(): return "pong"
"""
PLAIN = """
import http.server, os

if __name__ == "__main__":
    port = int(os.environ.get("PORT", "5001"))
    http.server.HTTPServer(("", port), http.server.SimpleHTTPRequestHandler).serve_forever()
"""
NEVER_RUN = "raise SystemExit('the code was run')\n"


def test_a_flask_factory_in_a_sub_package_gets_gunicorn_where_it_is_required(repository, tandem):
    files = {"shop/__init__.py": NEVER_RUN, "shop/web/__init__.py": FACTORY, "requirements.txt": "Flask>=3\ngunicorn\n"}
    root = repository(files)
    assert tandem(root, "init").returncode == 0
    toml = Settings.load("shop", root).toml
    assert toml.image.command == ("gunicorn", "--bind", "{listen}", "shop.web:create_app()")
    assert toml.image.env == {"SCORER_MODEL_PATH": "{model}"}
    assert (toml.source.branch, toml.verify.ready, toml.image.requirements) == ("trunk", "/health", "requirements.txt")


def test_a_flask_app_without_a_server_is_run_by_flask_and_gunicorn_is_suggested(repository, tandem):
    done = tandem(root := repository({"web.py": FACTORY, "requirements.txt": "flask\n"}), "init")
    assert Settings.load("shop", root).toml.image.command[:4] == ("flask", "--app", "web:create_app()", "run")
    assert "gunicorn is not among the requirements" in done.stdout


def test_an_app_below_a_src_folder_is_found_from_there(repository, tandem):
    root = repository({"src/shop/__init__.py": "", "src/shop/web.py": FACTORY, "requirements.txt": "flask\ngunicorn\n"})
    tandem(root, "init")
    command = Settings.load("shop", root).toml.image.command
    assert command == ("gunicorn", "--chdir", "src", "--bind", "{listen}", "shop.web:create_app()")


def test_a_fastapi_app_gets_uvicorn_and_its_model_file(repository, tandem):
    pyproject = '[project]\nname = "shop"\ndependencies = ["fastapi", "uvicorn"]\n'
    root = repository({"main.py": FASTAPI, "pyproject.toml": pyproject})
    tandem(root, "init")
    toml = Settings.load("shop", root).toml
    assert toml.image.command == ("uvicorn", "main:app", "--host", "127.0.0.1", "--port", "{port}")
    assert (toml.image.env, toml.verify.ready) == ({"MODEL_FILE": "{model}/net.onnx"}, "/ping")
    assert (root / str(toml.image.requirements)).read_text() == "fastapi\nuvicorn\n"


def test_a_plain_script_is_run_as_it_is_on_the_port_it_asks_its_environment_for(repository, tandem):
    tests = "import unittest\nclass T(unittest.TestCase):\n    def test_it(self): pass\n"
    root = repository({"app.py": PLAIN, "tests/test_app.py": tests})
    tandem(root, "init")
    toml = Settings.load("shop", root).toml
    assert (toml.image.command, toml.image.port) == (("python", "app.py"), 5001)
    assert toml.image.env == {"PORT": "{port}"}
    assert toml.test.command == "python -m unittest discover -v -s tests"


def test_a_repository_that_says_nothing_still_gets_a_valid_file_and_told_what_is_missing(repository, tandem):
    done = tandem(root := repository({"README.md": "hello", "broken.py": "def ("}), "init", "--app", "odd-one")
    assert Settings.load("odd-one", root)
    assert "write [image] command" in done.stdout and "no tests found" in done.stdout


def test_nothing_is_overwritten_and_a_second_app_is_added_to_prefect_yaml(repository, tandem):
    root = repository({"app.py": PLAIN, ".gitignore": "*.log"})
    tandem(root, "init")
    yaml, toml = root / "prefect.yaml", root / "deployments/shop/app.toml"
    yaml.write_text(yaml.read_text().replace("0 2 * * *", "30 4 * * 1-5"))
    toml.write_text(toml.read_text().replace('ready = "/"', 'ready = "/mine"'))
    done = tandem(root, "init", "--app", "other")
    assert 'ready = "/mine"' in toml.read_text() and yaml.read_text().count("30 4 * * 1-5") == 1
    assert {"integrate/shop", "integrate/other", "release/other-local-nightly"} <= set(deployments.named(yaml))
    assert "added integrate/other" in done.stdout
    assert (root / ".gitignore").read_text() == "*.log\n.tandem/\n"
    assert "is there already: kept" in tandem(root, "init", "--app", "other").stdout


def test_outside_a_repository_it_says_so_and_writes_nothing(tmp_path, tandem):
    done = tandem(tmp_path, "init")
    assert done.returncode == 2 and "git init" in done.stderr and not list(tmp_path.iterdir())


def test_a_name_that_is_not_allowed_leaves_nothing_behind(repository, tandem):
    done = tandem(root := repository({"app.py": PLAIN}), "init", "--app", "Not Allowed")
    assert done.returncode == 2 and "lower-case" in done.stderr
    assert not (root / "deployments").exists() and "Traceback" not in done.stderr


def test_every_key_is_explained_in_the_references_own_words():
    survey = Survey("shop", "main", ("python", "app.py"), {}, "requirements.txt", "pytest", (), 8000, "/")
    reference = Path(__file__).parents[2] / "deployments/digits/app.toml"
    assert _words(app_toml.text(survey)) == _words(reference.read_text())
    assert tomllib.loads(app_toml.text(survey))


def _words(text: str) -> list[tuple[str, str]]:
    """(key, comment) of every line that has both, in order."""
    found = re.findall(r"^#? ?\[*([\w.]+)\]* ?=? ?.*?(?<=[\w\]\"}]) +# (.*)$", text, re.M)
    return [(key, comment) for key, comment in found if key != "Keys"]


HARD_WIRED = """
import http.server, json

WORDS = json.load(open("models/words.json"))
http.server.HTTPServer(("", 5001), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


def test_a_models_folder_that_stands_in_the_code_is_where_the_model_goes(repository, tandem):
    done = tandem(root := repository({"app.py": HARD_WIRED}), "init")
    toml = Settings.load("shop", root).toml
    assert (toml.model.path, toml.image.env, toml.image.port) == ("/app/models", {}, 5001)
    assert "models/ itself" in done.stdout and "port 5001 itself" in done.stdout


def test_requirements_that_are_not_committed_are_found_before_a_build_does(repository, tandem):
    root = repository({"web.py": FACTORY, "requirements.txt": "flask\ngunicorn\n"})
    tandem(root, "init")
    assert "test-requirements.txt: not on trunk yet: commit it" in tandem(root, "check").stdout
    for words in (
        ["add", "-A"],
        ["-c", "user.name=ann", "-c", "user.email=ann@example.org", "commit", "-qm", "Ship it"],
    ):
        subprocess.run(["git", "-C", str(root), *words], check=True)
    assert "test-requirements.txt: there" in tandem(root, "check").stdout
