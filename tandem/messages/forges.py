"""Where a repository is kept, and the request that puts a status on one of its commits: GitHub, GitLab and others."""

import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import quote, unquote, urlsplit

from tandem.errors import SettingsError
from tandem.settings import SourceSettings

Standing = Literal["pending", "success", "failure", "error"]
Body = Mapping[str, object]
SCP = re.compile(r"(?:[\w.+-]+@)?([\w.-]+):(?!//)(.+)")  # git@host:path, as git reads it


@dataclass(frozen=True)
class Status:
    """How a commit stands with one app: `context` names the row, `link` is where it leads, or ""."""

    standing: Standing
    context: str
    description: str
    link: str = ""


@dataclass(frozen=True)
class Place:
    """A repository as its forge knows it: the API's address without a slash at its end, and the path's parts."""

    api: str
    path: tuple[str, ...]


@dataclass(frozen=True)
class Call:
    """One POST of JSON. `fine` is a text in the answer by which a refusal means: it stands so already."""

    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: Body
    fine: str = ""


@dataclass(frozen=True)
class Forge:
    """A kind of forge: its hosts, its API's address for a host, a status as a request, the scope that a token needs."""

    hosts: str
    api: str
    call: Callable[[Place, str, Status, str], Call]
    scope: str


def _github(place: Place, commit: str, status: Status, token: str) -> Call:
    """https://docs.github.com/rest/commits/statuses#create-a-commit-status; 140 characters of description."""
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/vnd.github+json"}
    body = _body(status, status.standing, 140, "target_url")
    url = f"{place.api}/repos/{_joined(place.path[-2:])}/statuses/{commit}"
    return Call(url, {**headers, "X-GitHub-Api-Version": "2022-11-28"}, body)


def _gitlab(place: Place, commit: str, status: Status, token: str) -> Call:
    """https://docs.gitlab.com/api/commits/#set-commit-pipeline-status; it refuses what stands there already."""
    states = {"failure": "failed", "error": "failed"}
    body = _body(status, states.get(status.standing, status.standing), 255, "target_url")
    url = f"{place.api}/projects/{quote('/'.join(place.path), safe='')}/statuses/{commit}"
    return Call(url, {"PRIVATE-TOKEN": token}, body, fine="Cannot transition status")


def _azure_devops(place: Place, commit: str, status: Status, token: str) -> Call:
    """https://learn.microsoft.com/rest/api/azure/devops/git/statuses/create?view=azure-devops-rest-7.1"""
    organization, project, repository = place.path
    genre, _, name = status.context.partition("/")
    states = {"success": "succeeded", "failure": "failed"}
    body = {
        "state": states.get(status.standing, status.standing),
        "description": status.description[:255],
        "context": {"genre": genre, "name": name},
        **({"targetUrl": status.link} if status.link else {}),
    }
    repositories = f"{place.api}/{_joined((organization, project))}/_apis/git/repositories/{_joined((repository,))}"
    login = b64encode(f":{token}".encode()).decode()
    return Call(f"{repositories}/commits/{commit}/statuses?api-version=7.1", {"Authorization": f"Basic {login}"}, body)


def _bitbucket(place: Place, commit: str, status: Status, token: str) -> Call:
    """https://developer.atlassian.com/cloud/bitbucket/rest/api-group-commit-statuses/; 40 characters of key."""
    states = {"pending": "INPROGRESS", "success": "SUCCESSFUL"}
    body = {
        "key": status.context[-40:],
        "name": status.context,
        "state": states.get(status.standing, "FAILED"),
        "description": status.description[:255],
        "url": status.link or "https://bitbucket.org",  # it insists on one
    }
    url = f"{place.api}/repositories/{_joined(place.path[-2:])}/commit/{commit}/statuses/build"
    return Call(url, {"Authorization": f"Bearer {token}"}, body)


def _gitea(place: Place, commit: str, status: Status, token: str) -> Call:
    """https://docs.gitea.com/api/ repoCreateStatus; Forgejo's is the same."""
    body = _body(status, status.standing, 255, "target_url")
    url = f"{place.api}/repos/{_joined(place.path[-2:])}/statuses/{commit}"
    return Call(url, {"Authorization": f"token {token}"}, body)


FORGES: Mapping[str, Forge] = {
    "github": Forge(
        r"github\.com|.+\.ghe\.com", "https://{host}/api/v3", _github, "'repo:status', or 'Commit statuses: write'"
    ),
    "gitlab": Forge(r"gitlab\.com|gitlab\..+", "https://{host}/api/v4", _gitlab, "'api', and the role Developer"),
    "azure-devops": Forge(
        r"(ssh\.)?dev\.azure\.com|.+\.visualstudio\.com", "https://dev.azure.com", _azure_devops, "'Code (status)'"
    ),
    "bitbucket": Forge(
        r"bitbucket\.org", "https://api.bitbucket.org/2.0", _bitbucket, "'repository' (read) of a repository token"
    ),
    "gitea": Forge(r"codeberg\.org|gitea\.com|gitea\..+", "https://{host}/api/v1", _gitea, "'write:repository'"),
}


def find(source: SourceSettings, address: str) -> tuple[Forge, Place]:
    """The forge of a repository's address, and its place there. Raises SettingsError where nobody can know it."""
    host, path = _split(address)
    kind: str | None = source.forge or next(
        (name for name, each in FORGES.items() if re.fullmatch(each.hosts, host)), None
    )
    if kind is None:
        where = host or "a folder of this machine"
        raise SettingsError(
            f"source.status: {where} is no forge that is known by its host: "
            f"set [source] forge ({', '.join(FORGES)}), and api where it is not at the usual place"
        )
    forge = FORGES[kind]
    if len(path) < 2:
        raise SettingsError(f"source.status: {host}/{'/'.join(path)} names no repository of a {kind} forge")
    if kind == "azure-devops":
        path = _azure_path(host, path)
    api = source.api or _own_api(kind, host) or forge.api.format(host=host)
    return forge, Place(api.rstrip("/"), path)


def _own_api(kind: str, host: str) -> str | None:
    """Where GitHub's own clouds have their API, which is not on the repository's host."""
    if kind == "github" and (host == "github.com" or host.endswith(".ghe.com")):
        return f"https://api.{host}"
    return None


def _split(address: str) -> tuple[str, tuple[str, ...]]:
    """Host (lower case) and path's parts of a git URL in each of its forms; no host for a folder."""
    if "://" in address:
        parts = urlsplit(address)
        host, path = (parts.hostname or "").lower(), parts.path
        if parts.scheme in ("http", "https") and parts.port and parts.port != {"http": 80, "https": 443}[parts.scheme]:
            host = f"{host}:{parts.port}"
    elif match := SCP.fullmatch(address):
        host, path = match[1].lower(), match[2]
    else:
        return "", ()
    names = tuple(unquote(part) for part in path.strip("/").removesuffix(".git").split("/") if part)
    return host, names if ".." not in names else ()


def _azure_path(host: str, path: tuple[str, ...]) -> tuple[str, ...]:
    """Organization, project, repository, of each of Azure DevOps' address forms."""
    if path[0] == "v3":
        names = path[1:]
    else:
        if host.endswith(".visualstudio.com"):
            path = (host.partition(".")[0], *(part for part in path if part != "DefaultCollection"))
        at = path.index("_git") if "_git" in path else len(path)
        names = (*path[:at], *path[at + 1 :])
        names = (*names[:1], names[-1], names[-1]) if len(names) == 2 else names
    if len(names) != 3:
        raise SettingsError("source.status: an Azure DevOps repository is https://dev.azure.com/ORG/PROJECT/_git/REPO")
    return names


def _body(status: Status, state: str, longest: int, link: str) -> Body:
    body = {"state": state, "context": status.context, "description": status.description[:longest]}
    return {**body, link: status.link} if status.link else body


def _joined(parts: tuple[str, ...]) -> str:
    return "/".join(quote(part, safe="") for part in parts)
