"""A push that each sender tells of, in its own request's shape, is live by itself; who asks meanwhile is answered."""

import re
import time
from pathlib import Path

import httpx
import pytest

from tandem.cli import environment
from tests.end_to_end.service import HOOKS, SECRET, commit, publish, service, until
from tests.service.outside import git_over_http
from tests.triggers import hooks

REPOSITORIES = {  # as the documented payloads name them
    "github": "https://github.com/acme/shop",
    "gitlab": "https://gitlab.example.org/acme/shop",
    "azure-devops": "https://dev.azure.com/acme/tools/_git/shop",
    "bitbucket": "https://bitbucket.org/acme/shop",
    "gitea": "https://gitea.example.org/acme/shop",
    "generic": "https://git.example.org/acme/shop",
}


@pytest.fixture(scope="module")
def up(tmp_path_factory):
    root = tmp_path_factory.mktemp("senders")
    with git_over_http("127.0.0.1", root) as git, service(root) as made:
        ways = [f'[url "{git}/code/.git"]\n\tinsteadOf = {each}\n' for each in REPOSITORIES.values()]
        (root / ".gitconfig").write_text("".join(ways))
        made.becomes_whole()
        publish(made)
        made.tandem("integrate", "tiny")
        made.tandem("release", "tiny", "local")
        yield made


def told_by(up, sender: str) -> None:
    """The app's repository is the one that this sender's requests name, and releases follow by themselves."""
    toml: Path = up.root / "deployments" / "tiny" / "app.toml"
    text = re.sub(r"(?m)^repository = .*$", f'repository = "{REPOSITORIES[sender]}"', toml.read_text())
    text = re.sub(r"(?m)^\[hooks\]\n.*$", HOOKS.strip().replace("generic", sender), text)
    toml.write_text(text if "follow" in text else text.replace('"process:"', '"process:"\nfollow = true'))


@pytest.mark.parametrize("sender", REPOSITORIES)
def test_a_push_is_live_by_itself_whoever_tells_of_it(up, sender, record_property):
    told_by(up, sender)
    commit(up, **{'"/": "ok"': f'"/": "{sender}"'})
    answers = [""]
    until(lambda: tell(up, sender, answers), 60, lambda: answers[-1])  # a changed app.toml counts within a second
    began = time.monotonic()
    until(lambda: httpx.get(f"http://127.0.0.1:{up.port}/", timeout=60).json() == sender, 300, up.log)
    record_property("seconds from the hook to its users", took := round(time.monotonic() - began, 1))
    print(f"{sender}: {took} s")
    until(lambda: up.state()["under_way"] is None, 240, up.log)
    until(lambda: integrated(up) == ["COMPLETED"], 120, lambda: integrated(up))  # once; its last word comes late


def tell(up, sender: str, answers: list[str]) -> bool:
    """Send the hook; whether it was about the app."""
    sent = hooks.generic(time=int(time.time())) if sender == "generic" else hooks.PUSHES[sender]()
    sent, receiver = sent.signed(SECRET), str(environment.known(up.root, "receiver"))
    answer = httpx.post(f"{receiver}/hooks/{sender}", content=sent.body, headers=sent.headers, timeout=30)
    answers.append(answer.text)
    return answer.status_code == 202 and answer.json()["apps"] == ["tiny"]


def integrated(up) -> list[str]:
    """How the integrates of what runs stand."""
    found = up.api().post("flow_runs/filter", {"flows": {"name": {"any_": ["integrate"]}}})
    head = up.state()["current"]["candidate"]["pair"]["commit"]
    return [run["state"]["type"] for run in found if run["parameters"].get("commit") == head]
