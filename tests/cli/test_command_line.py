"""Exit codes and messages: a person's mistake is a sentence, never a traceback."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("words", [["release"], ["release", "digits"], ["nonsense"], ["status", "--nonsense"]])
def test_wrong_usage_is_exit_code_2(tandem, words):
    done = tandem(ROOT, *words)
    assert done.returncode == 2 and "Usage: tandem" in done.stderr and "Traceback" not in done.stderr


def test_an_unknown_app_lists_those_there_are(tandem):
    done = tandem(ROOT, "integrate", "digit")
    assert done.returncode == 2 and done.stderr.startswith("SettingsError: no app 'digit'") and "digits" in done.stderr


def test_an_unknown_environment_lists_those_there_are(tandem):
    done = tandem(ROOT, "release", "digits", "moon")
    assert done.returncode == 2 and "(there are: local)" in done.stderr and "Traceback" not in done.stderr


def test_outside_any_root_it_says_what_to_do(tandem, tmp_path):
    done = tandem(tmp_path, "status")
    assert done.returncode == 2 and "tandem init" in done.stderr


def test_a_server_that_does_not_answer_is_exit_code_1_and_named(tandem, tmp_path):
    (tmp_path / "deployments").symlink_to(ROOT / "deployments")
    done = tandem(tmp_path, "integrate", "digits", PREFECT_API_URL="http://127.0.0.1:9/api")
    assert done.returncode == 1 and "127.0.0.1:9" in done.stderr and "Traceback" not in done.stderr


def test_help_is_quick_and_fits_a_screen(tandem):
    done = tandem(ROOT, "--help", PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == 0 and len(done.stdout.splitlines()) <= 40
    for slow in ("prefect", "pydantic", "httpx", "rich"):
        assert f"| {slow}\n" not in done.stderr, f"--help imports {slow}"


def test_every_command_shows_an_example(tandem):
    from tandem.cli.commands import tandem as program

    for command in program.registered_commands:
        assert "Example: tandem " in (command.callback.__doc__ or ""), command.callback


MISTAKE = """
from tandem.cli import main
from tandem.cli.commands import tandem

@tandem.command()
def broken() -> None:
    {}["no such key"]

main()
"""


def test_a_mistake_of_ours_shows_its_traceback(tmp_path):
    words = [sys.executable, "-c", MISTAKE, "broken"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and "KeyError" in done.stderr and "Traceback" in done.stderr


@pytest.mark.parametrize("words", [["status", "digits"], ["integrate", "digits"], ["up"], ["down"], ["check"]])
def test_a_file_where_tandem_keeps_its_state_is_named(tandem, tmp_path, words):
    (tmp_path / "deployments").symlink_to(ROOT / "deployments")
    (tmp_path / ".tandem").write_text("mine")
    done = tandem(tmp_path, *words)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert f"{tmp_path / '.tandem'} is a file" in done.stderr


def test_check_prints_json_and_exits_1_where_something_is_wrong(tandem, repository):
    root = repository({"app.py": "import http.server\nhttp.server.HTTPServer(('', 1), None).serve_forever()\n"})
    assert tandem(root, "init").returncode == 0
    done = tandem(root, "check", "--json")
    found = {(each["app"], each["what"]): each for each in json.loads(done.stdout)}
    assert done.returncode == 1 and found["", "prefect.yaml"]["fine"] and found["shop", "app.toml"]["fine"]
    assert found["shop", "model"]["fine"] is False and "tandem publish" in found["shop", "model"]["says"]


@pytest.mark.parametrize(
    ("base", "target", "says"),
    [
        ("none", "docker:", "only process: runs it"),
        ("127.0.0.1:9/python@sha256:" + "a" * 64, "process:", "docker: runs this one"),
    ],
)
def test_check_says_where_a_target_cannot_run_the_image(tandem, repository, base, target, says):
    root = repository({"app.py": "import http.server\nhttp.server.HTTPServer(('', 1), None).serve_forever()\n"})
    assert tandem(root, "init").returncode == 0
    toml = root / "deployments" / "shop" / "app.toml"
    toml.write_text(toml.read_text().replace('base = "none"', f'base = "{base}"').replace('"process:"', f'"{target}"'))
    done = tandem(root, "check", "--json", DOCKER_HOST="unix:///nowhere/docker.sock")
    found = {each["what"]: each for each in json.loads(done.stdout)}
    assert done.returncode == 1 and says in found["local"]["says"]
    assert ("docker" in found) == (target == "docker:")
    assert target == "process:" or "start it" in found["docker"]["says"]


def test_check_says_where_the_tests_cannot_run_in_the_image(tandem, repository):
    root = repository({"app.py": "import http.server\nhttp.server.HTTPServer(('', 1), None).serve_forever()\n"})
    assert tandem(root, "init").returncode == 0
    toml = root / "deployments" / "shop" / "app.toml"
    toml.write_text(toml.read_text().replace('# where = "here"', 'where = "image"'))
    done = tandem(root, "check", "--json")
    found = {each["what"]: each for each in json.loads(done.stdout)}
    assert done.returncode == 1 and "there is no system to run in: name a base" in found["tests"]["says"]
