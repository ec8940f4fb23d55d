"""Statuses on commits, as each forge's published API has them: path, login, body; and what a refusal says."""

import base64

import httpx
import pytest

from tandem.errors import SettingsError
from tandem.messages.forges import FORGES, Status, find
from tandem.messages.sending import Undelivered
from tandem.messages.statuses import put
from tandem.settings import SourceSettings
from tests.messages.doubles import Posted, Web

COMMIT = "3f2a91c04b7e" + "0" * 28
TOKEN = "tok-en-5"
STATUS = Status("failure", "tandem/digits", "its own tests failed", "http://127.0.0.1:4200/runs/flow-run/0a1b")
GITHUB = SourceSettings(forge="github", repository="https://git.example.org/ann/shop.git")


def said(hook: Web, source: SourceSettings, status: Status = STATUS, patience: float = 0.0) -> Posted:
    """The request that the forge of this address gets, where its API is at the double."""
    forge, place = find(source.model_copy(update={"api": f"{hook.url}/base"}), source.repository)
    with httpx.Client(timeout=60.0) as client:
        put(forge, forge.call(place, COMMIT, status, TOKEN), client, patience, sleep=lambda _: None)
    return hook.posted[-1]


ADDRESSES = ["https://{host}/ann/shop.git", "ssh://git@{host}:2222/ann/shop", "git@{host}:ann/shop.git"]


@pytest.mark.parametrize("address", ADDRESSES)
def test_github(hook: Web, address: str) -> None:
    posted = said(hook, SourceSettings(repository=address.format(host="github.com")))
    assert posted.path == f"/base/repos/ann/shop/statuses/{COMMIT}"
    assert posted.headers["Authorization"] == f"Bearer {TOKEN}"
    assert posted.headers["Accept"] == "application/vnd.github+json"
    assert posted.json() == {
        "state": "failure",
        "context": "tandem/digits",
        "description": "its own tests failed",
        "target_url": STATUS.link,
    }


@pytest.mark.parametrize(("standing", "state"), [("pending", "pending"), ("success", "success"), ("error", "failed")])
def test_gitlab_with_its_groups_and_its_own_words(hook: Web, standing: str, state: str) -> None:
    source = SourceSettings(repository="git@gitlab.com:group/sub/shop.git")
    posted = said(hook, source, Status(standing, "tandem/digits", "x"))
    assert posted.path == f"/base/projects/group%2Fsub%2Fshop/statuses/{COMMIT}"
    assert posted.headers["PRIVATE-TOKEN"] == TOKEN
    assert posted.json() == {"state": state, "context": "tandem/digits", "description": "x"}


def test_gitlab_refuses_what_stands_there_already_and_that_is_fine(hook: Web) -> None:
    hook.answers = [
        (400, {}, b'{"message": "Cannot transition status via :enqueue from :pending (Reason(s): \xe2\x80\xa6)"}')
    ]
    said(hook, SourceSettings(repository="https://gitlab.com/ann/shop"), Status("pending", "tandem/digits", "x"))


@pytest.mark.parametrize(
    "address",
    [
        "https://dev.azure.com/contoso/My%20Project/_git/shop",
        "https://contoso@dev.azure.com/contoso/My%20Project/_git/shop",
        "git@ssh.dev.azure.com:v3/contoso/My%20Project/shop",
        "https://contoso.visualstudio.com/DefaultCollection/My%20Project/_git/shop",
    ],
)
def test_azure_devops(hook: Web, address: str) -> None:
    posted = said(hook, SourceSettings(repository=address))
    project = "/base/contoso/My%20Project/_apis/git/repositories/shop"
    assert posted.path == f"{project}/commits/{COMMIT}/statuses?api-version=7.1"
    assert base64.b64decode(posted.headers["Authorization"].removeprefix("Basic ")).decode() == f":{TOKEN}"
    assert posted.json() == {
        "state": "failed",
        "description": "its own tests failed",
        "targetUrl": STATUS.link,
        "context": {"genre": "tandem", "name": "digits"},
    }


def test_azure_devops_repository_that_is_named_as_its_project(hook: Web) -> None:
    posted = said(hook, SourceSettings(repository="https://dev.azure.com/contoso/_git/shop"))
    assert posted.path.startswith("/base/contoso/shop/_apis/git/repositories/shop/")


def test_bitbucket(hook: Web) -> None:
    posted = said(hook, SourceSettings(repository="git@bitbucket.org:team/shop.git"))
    assert posted.path == f"/base/repositories/team/shop/commit/{COMMIT}/statuses/build"
    assert posted.headers["Authorization"] == f"Bearer {TOKEN}"
    assert posted.json()["state"] == "FAILED" and posted.json()["key"] == "tandem/digits"
    assert posted.json()["url"] == STATUS.link


def test_gitea(hook: Web) -> None:
    posted = said(hook, SourceSettings(repository="https://codeberg.org/ann/shop.git"))
    assert posted.path == f"/base/repos/ann/shop/statuses/{COMMIT}"
    assert posted.headers["Authorization"] == f"token {TOKEN}" and posted.json()["state"] == "failure"


@pytest.mark.parametrize(
    ("address", "api"),
    [
        ("git@github.com:ann/shop.git", "https://api.github.com"),
        ("https://shop.ghe.com/ann/shop", "https://api.shop.ghe.com"),
        ("https://gitlab.example.org:8443/ann/shop", "https://gitlab.example.org:8443/api/v4"),
        ("https://dev.azure.com/a/b/_git/c", "https://dev.azure.com"),
        ("https://bitbucket.org/a/b", "https://api.bitbucket.org/2.0"),
        ("https://codeberg.org/a/b", "https://codeberg.org/api/v1"),
    ],
)
def test_where_each_forge_has_its_api(address: str, api: str) -> None:
    assert find(SourceSettings(), address)[1].api == api


def test_a_server_of_ones_own_is_named() -> None:
    source = SourceSettings(forge="github")
    assert find(source, "git@git.example.org:ann/shop.git")[1].api == "https://git.example.org/api/v3"


@pytest.mark.parametrize(
    "address",
    [
        "https://git.example.org/ann/shop",
        "/srv/git/shop",
        "file:///srv/git/shop",
        "https://github.com.evil.org/a/b",
        ".",
    ],
)
def test_a_host_that_nobody_knows_gets_no_token(address: str) -> None:
    with pytest.raises(SettingsError, match=r"forge \(github, gitlab"):
        find(SourceSettings(), address)


@pytest.mark.parametrize("address", ["https://github.com/../../gists", "https://github.com/ann", "https://github.com/"])
def test_a_path_that_is_no_repository_is_refused(address: str) -> None:
    with pytest.raises(SettingsError, match="names no repository"):
        find(SourceSettings(), address)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((401, {}, b'{"message": "Bad credentials"}'), "does not take the token"),
        ((403, {}, b'{"message": "no"}'), "'repo:status'"),
        ((404, {}, b'{"message": "Not Found"}'), "'repo:status'"),
        ((422, {}, b'{"message": "No commit found for SHA"}'), "No commit found"),
        ((503, {}, b"<h1>away</h1>"), "HTTP 503"),
        ((200, {}, b"<html>log in</html>"), "page and not with JSON"),
        ((203, {}, b"<html>Azure DevOps Services | Sign In</html>"), "page and not with JSON"),
        ((201, {}, b"[]"), "page and not with JSON"),
    ],
)
def test_a_refusal_says_what_to_do(hook: Web, answer: tuple, says: str) -> None:
    hook.answers = [answer]
    with pytest.raises(Undelivered) as refusal:
        said(hook, GITHUB)
    assert says in str(refusal.value) and TOKEN not in str(refusal.value) and "<h" not in str(refusal.value)


@pytest.mark.parametrize("code", [301, 302, 307, 308])
def test_the_token_follows_no_redirect(hook: Web, code: int) -> None:
    hook.answers = [(code, {"Location": hook.url.replace("127.0.0.1", "localhost")}, b""), (201, {}, b"{}")]
    with pytest.raises(Undelivered, match="leads to localhost, where the token is not sent"):
        said(hook, GITHUB)
    assert len(hook.posted) == 1


def test_a_busy_forge_is_asked_again(hook: Web) -> None:
    hook.answers = [(502, {}, b""), (429, {}, b""), (201, {}, b"{}")]
    said(hook, GITHUB, patience=120.0)
    assert len(hook.posted) == 3


def test_descriptions_are_as_long_as_each_forge_takes() -> None:
    long = Status("success", "tandem/digits", "x" * 500)
    for name, forge in FORGES.items():
        address = {"azure-devops": "https://dev.azure.com/a/b/_git/c"}.get(name, "https://h.example/a/b")
        place = find(SourceSettings(forge=name), address)[1]
        body = forge.call(place, COMMIT, long, TOKEN).body
        assert len(str(body["description"])) == (140 if name == "github" else 255)
