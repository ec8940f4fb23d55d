"""Addresses, refs and paths are hostile until validated; a token goes to its host and nowhere else."""

import base64
import http.server
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tandem.errors import SourceError, Unreachable
from tandem.settings import SourceSettings
from tandem.source import Repository
from tandem.source.validate import address, literal_paths, ref_name


@pytest.mark.parametrize(
    "repository",
    [
        "--upload-pack=touch /tmp/owned",
        "-oProxyCommand=id",
        "ext::sh -c id",
        "fd::17",
        "ftp://host/x.git",
        "git://host/x.git",
        "ssh://-oProxyCommand=id/x",
        "ssh://-l@host/x",
        "https:///x.git",
        "https://host:port/x.git",
        "https://user:s3cret@host/x.git",
        "https://host/x\n.git",
        "",
    ],
)
def test_an_address_that_git_would_take_for_something_else_is_refused(repository, tmp_path):
    with pytest.raises(SourceError) as refused:
        address(repository, tmp_path)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("repository", "host", "user"),
    [
        ("https://host.example/team/app.git", "host.example", None),
        ("https://ada@host.example:8443/app", "host.example:8443", "ada"),
        ("git@host.example:team/app.git", "host.example", "git"),
        ("ssh://git@[::1]:22/app.git", "[::1]:22", "git"),
    ],
)
def test_addresses_of_hosts_pass(repository, host, user, tmp_path):
    found = address(repository, tmp_path)
    assert (found.url, found.host, found.user) == (repository, host, user)


def test_a_file_url_a_relative_path_and_a_path_mean_the_same_repository(tmp_path):
    root = tmp_path / "root"
    found = {address(text, root).url for text in (f"file://{tmp_path}/x", "../x", f"{tmp_path}/x")}
    assert found == {f"{tmp_path.resolve()}/x"}


@pytest.mark.parametrize(
    "ref", ["--all", "", "a b", "a..b", "main~1", "main^", "@{u}", "a:b", "x.lock", "/x", "@", "a\n"]
)
def test_a_ref_that_is_an_option_or_an_expression_is_refused(ref):
    with pytest.raises(SourceError):
        ref_name(ref)


@pytest.mark.parametrize("path", ["/etc", "../x", "a/../../x", ""])
def test_a_path_outside_the_repository_is_refused(path):
    with pytest.raises(SourceError):
        literal_paths((path,))


def test_nothing_of_the_origin_or_the_user_is_executed(origin, open_, tmp_path, monkeypatch):
    owned = tmp_path / "owned"
    script = tmp_path / "script"
    script.write_text(f"#!/bin/sh\ntouch {owned}\ncat\n")
    script.chmod(0o755)
    for hooks in (origin.folder / ".git/hooks", tmp_path / "template/hooks"):
        hooks.mkdir(parents=True, exist_ok=True)
        for name in ("post-checkout", "reference-transaction", "post-update", "pre-auto-gc", "post-index-change"):
            (hooks / name).write_text(script.read_text())
            (hooks / name).chmod(0o755)
    origin.git("config", "core.fsmonitor", str(script))
    origin.git("config", "filter.evil.smudge", str(script), HOME=str(tmp_path))
    home = tmp_path / "home-of-user"
    home.mkdir()
    lines = (
        f'[filter "evil"]\n smudge = {script}\n[core]\n hooksPath = {tmp_path}/template/hooks\n fsmonitor = {script}\n'
    )
    (home / ".gitconfig").write_text(f"{lines}[init]\n templateDir = {tmp_path}/template\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", str(script))
    origin.write({".gitattributes": "* filter=evil\n"})
    (origin.folder / ".git/hooks/post-index-change").unlink()
    made = origin.commit(app__main_py="content")
    owned.unlink(missing_ok=True)
    run = open_()
    with run.checked_out(run.commit(made)) as source:
        assert (Path(source.folder) / "app/main.py").read_text() == "content"
    assert not owned.exists()


class Host:
    """A git host over HTTP that wants a token, unless told to answer something else."""

    def __init__(self, folder: Path, token: str) -> None:
        self.asked: list[tuple[str, str | None]] = []
        self.answer: tuple[int, str] | None = None
        host = self
        wanted = "Basic " + base64.b64encode(f"x-access-token:{token}".encode()).decode()

        class Answers(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *rest: object) -> None:
                super().__init__(*rest, directory=str(folder))

            def do_GET(self) -> None:
                given = self.headers.get("Authorization")
                host.asked.append((self.path, given))
                if host.answer:
                    self.send_response(host.answer[0])
                    self.send_header("Location", host.answer[1] + self.path)
                    self.end_headers()
                elif given != wanted:
                    self.send_response(401)
                    self.send_header("WWW-Authenticate", 'Basic realm="git"')
                    self.end_headers()
                else:
                    super().do_GET()

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def host(origin, tmp_path) -> Iterator[Host]:
    """The origin, served as plain files behind a token."""
    origin.commit(app__main_py="1")
    origin.git("clone", "-q", "--bare", str(origin.folder), str(tmp_path / "served/app.git"))
    origin.git("-C", str(tmp_path / "served/app.git"), "update-server-info")
    host = Host(tmp_path / "served", "s3cret-token")
    yield host
    host.server.shutdown()
    host.server.server_close()


def over(url: str, root: Path, token: str | None = "s3cret-token") -> Repository:
    return Repository(SourceSettings(repository=f"{url}/app.git"), "digits", root, token)


def test_a_private_host_gets_the_token_and_nothing_keeps_it(host, root):
    assert over(host.url, root).commit().subject == "Change"
    kept = [path for path in (root / ".tandem").rglob("*") if path.is_file() and b"s3cret" in path.read_bytes()]
    assert kept == []


def test_a_wrong_token_or_none_says_what_to_do_and_does_not_show_it(host, root):
    for token in (None, "s3cret-wrong"):
        with pytest.raises(SourceError, match=r"no access: name a token.*source\.credentials") as refused:
            over(host.url, root, token).commit()
        assert "s3cret" not in str(refused.value)


def test_a_redirect_to_another_host_does_not_take_the_token_along(host, root, tmp_path):
    thief = Host(tmp_path, "nobody's")
    host.answer = (302, thief.url)
    try:
        with pytest.raises(SourceError, match="no access"):
            over(host.url, root).commit()
        assert thief.asked and [given for _, given in thief.asked if given] == []
    finally:
        thief.server.shutdown()
        thief.server.server_close()


def test_a_token_is_not_sent_in_the_clear(root):
    with pytest.raises(SourceError, match="not sent in the clear"):
        over("http://host.example", root)


def test_what_may_pass_is_unreachable_and_what_a_person_must_mend_is_not(host, root):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(Unreachable, match="not reached"):
        over(f"http://127.0.0.1:{port}", root).commit()
    host.answer = (503, "")
    with pytest.raises(Unreachable, match="not reached"):
        over(host.url, root).commit()
    host.answer = (404, "")
    with pytest.raises(SourceError, match="no such repository"):
        over(host.url, root).commit()
    with pytest.raises(SourceError, match="no such repository"):
        Repository(SourceSettings(repository="/nowhere/at/all"), "digits", root).commit()
