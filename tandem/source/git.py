"""git, called with nothing of the machine's that could steer it: argv and environment as pure functions.

What is let in from the user's own configuration is named in OWN: credential helpers, proxies, certificates,
address rewriting. Hooks never run, no prompt ever waits, and a token travels by environment, to its host alone.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from tandem.errors import SourceError
from tandem.run import Command, Failed, Finished, run, stream
from tandem.source.validate import Address

OWN = r"^(credential\.|http\.|url\.|core\.sshcommand$)"
PASSED = (
    *("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "XDG_CONFIG_HOME", "SUDO_UID"),
    *("SSH_AUTH_SOCK", "SSH_AGENT_PID", "GIT_SSH", "GIT_SSH_COMMAND", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE"),
    *("http_proxy", "https_proxy", "no_proxy", "all_proxy", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"),
)
SSH = "ssh -o BatchMode=yes -o ConnectTimeout=20 -o ServerAliveInterval=15 -o ServerAliveCountMax=4"
ALWAYS = (
    ("core.hooksPath", os.devnull),
    ("core.fsmonitor", "false"),
    ("core.protectHFS", "true"),
    ("core.protectNTFS", "true"),
    ("submodule.recurse", "false"),
    ("gc.autoDetach", "false"),
    ("maintenance.autoDetach", "false"),
    ("http.followRedirects", "initial"),
    ("http.lowSpeedLimit", "1000"),  # bytes a second …
    ("http.lowSpeedTime", "60"),  # … for so many seconds: it hangs
)
# A constant text: the token is read from the environment by the shell that git starts for it.
TELL = (
    '!tell() { test "$1" = get && '
    """printf 'username=%s\npassword=%s\n' "$TANDEM_USER" "$TANDEM_TOKEN"; }; tell"""
)


def environment(surroundings: Mapping[str, str], config: tuple[tuple[str, str], ...] = ()) -> dict[str, str]:
    """git's whole environment: what may pass of `surroundings`, and `config` beside ALWAYS as if by `-c`."""
    env = {name: surroundings[name] for name in PASSED if name in surroundings}
    env |= {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": ""}
    env |= {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_ATTR_NOSYSTEM": "1"}
    env |= {"GIT_LITERAL_PATHSPECS": "1", "GIT_NO_REPLACE_OBJECTS": "1", "GIT_OPTIONAL_LOCKS": "0"}
    ssh = () if "GIT_SSH" in env else (("core.sshCommand", SSH),)  # the user's own comes later and wins
    pairs = [*ssh, *config, *ALWAYS]
    env["GIT_CONFIG_COUNT"] = str(len(pairs))
    for number, (key, value) in enumerate(pairs):
        env |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return env


def own_configuration(surroundings: Mapping[str, str], pattern: str = OWN) -> tuple[tuple[str, str], ...]:
    """(key, value) of the user's and the system's git configuration that match `pattern`, in git's order."""
    env = {name: value for name, value in surroundings.items() if not name.startswith("GIT_")}
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM"):
        env |= {name: surroundings[name]} if name in surroundings else {}
    env |= {"GIT_DIR": os.devnull}  # no repository's configuration
    found = stream(Command(("git", "config", "--includes", "-z", "--get-regexp", pattern), env, "/"), b"\0")
    try:
        entries = [entry.decode(errors="replace").partition("\n") for entry in found]
    except (Failed, FileNotFoundError):  # exit code 1: nothing matches
        return ()
    return tuple((key, value if newline else "true") for key, newline, value in entries)


def access(address: Address, token: str | None, surroundings: Mapping[str, str]) -> dict[str, str]:
    """The environment for talking to where the repository is. Raises SourceError for a token without https."""
    if address.host is None:
        # The other end, git upload-pack, looks for safe.directory in the user's own configuration, and only there.
        env = {**environment(surroundings), "GIT_ALLOW_PROTOCOL": "file"}
        return {name: value for name, value in env.items() if name not in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM")}
    config = own_configuration(surroundings)
    extra = {"GIT_ALLOW_PROTOCOL": "https:http:ssh"}
    if token and address.scheme in ("https", "http"):
        loopback = (address.host.rpartition(":")[0] or address.host) in ("127.0.0.1", "localhost", "[::1]")
        if address.scheme == "http" and not loopback:
            raise SourceError(f"{address.url}: a token is not sent in the clear: write https:// in source.repository")
        helper = f"credential.{address.scheme}://{address.host}.helper"  # git asks it for this host alone
        config = (*config, (helper, ""), (helper, TELL))
        extra |= {"TANDEM_USER": address.user or "x-access-token", "TANDEM_TOKEN": token}
    return {**environment(surroundings, config), **extra}


def command(mirror: Path, *words: str, env: Mapping[str, str], time_limit: float = 120.0) -> Command:
    """git on a bare repository."""
    return Command(("git", f"--git-dir={mirror}", *words), env, str(mirror.parent), time_limit=time_limit)


def ask(asked: Command) -> list[str]:
    """git's answer, line by line; raises Failed."""
    return [line.decode(errors="replace") for line in answers(asked, b"\n")]


def answers(asked: Command, separator: bytes = b"\0") -> Iterator[bytes]:
    """git's answer, record by record, as it comes; raises Failed, or SourceError without git."""
    try:
        yield from stream(asked, separator)
    except FileNotFoundError:
        raise _no_git() from None


def do(asked: Command) -> Finished:
    """Run git for what it does; its code is the caller's to judge."""
    try:
        return run(asked)
    except FileNotFoundError:
        raise _no_git() from None


def _no_git() -> SourceError:
    return SourceError("there is no 'git' on this machine's PATH: install it (Debian: apt install git)")
