"""Whether two addresses mean one repository: https, ssh, git@host:path, with and without .git.

What is compared errs towards yes, by case, port and user: a hint too many costs one look, one too few a minute.
"""

import re
import subprocess
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tandem.source.validate import address

LONGEST = 2000  # characters, as tandem/source has it
_SCP_LIKE = re.compile(r"(?:[^@/:\s]+@)?([A-Za-z0-9][A-Za-z0-9.-]*):(?!//)(.+)")
_SSH_DOORS = {
    "ssh.github.com": "github.com",
    "altssh.gitlab.com": "gitlab.com",
    "altssh.bitbucket.org": "bitbucket.org",
}
_AZURE = re.compile(r"(?:v3/)?(?P<org>[^/]+)/(?P<project>[^/]+)/(?:_git/)?(?P<name>[^/]+)")


@lru_cache(1000)
def same(repository: str) -> str:
    """A text that is equal for all addresses of one repository; "" for what is no address, or too long to be one."""
    if len(repository) > LONGEST:
        return ""
    if "://" in repository:
        try:
            parts = urlsplit(repository)
            host, path = parts.hostname or "", unquote(parts.path)
        except ValueError:
            return ""
    elif match := _SCP_LIKE.fullmatch(repository):
        host, path = match[1], unquote(match[2])
    else:
        host, path = "", repository
    host = _SSH_DOORS.get(host.lower(), host.lower())
    path = path.strip("/").removesuffix(".git").rstrip("/").casefold()
    return _azure(host, path) or (f"{host}/{path}" if path else "")


def _azure(host: str, path: str) -> str:
    """One name for dev.azure.com/ORG/PROJECT/_git/NAME, ORG.visualstudio.com, and the ssh doors of both."""
    if host.endswith(".visualstudio.com") and host != "vs-ssh.visualstudio.com":
        path = f"{host.removesuffix('.visualstudio.com')}/{path.removeprefix('defaultcollection/')}"
    elif host not in ("dev.azure.com", "ssh.dev.azure.com", "vs-ssh.visualstudio.com"):
        return ""
    org, _, rest = path.partition("/")
    if rest.startswith("_git/"):  # a project's repository of the same name
        path = f"{org}/{rest.removeprefix('_git/')}/{rest}"
    match = _AZURE.fullmatch(path)
    return f"dev.azure.com/{match['org']}/{match['project']}/{match['name']}" if match else ""


def of_app(repository: str, root: Path, environ: Mapping[str, str]) -> frozenset[str]:
    """What [source].repository is called in hooks; for "." the checkout's folder and its remote `origin`.

    Raises SourceError where it is no address.
    """
    names = {same(address(repository, root).url)}
    if repository == "." and (origin := _origin(root, environ)):
        names.add(same(origin))
    return frozenset(names - {""})


def _origin(root: Path, environ: Mapping[str, str]) -> str:
    """The address of `origin`; "" where there is none, or git does not say within 10 s."""
    argv = ["git", "-C", str(root), "config", "--get", "remote.origin.url"]
    env = {name: environ[name] for name in ("PATH", "HOME", "SUDO_UID") if name in environ}
    try:
        done = subprocess.run(argv, env=env, capture_output=True, text=True, errors="replace", timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()
