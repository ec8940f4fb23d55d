"""Who logs in to a registry: what `docker login` left, its credential helpers, or what the settings name."""

import base64
import binascii
import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tandem.errors import SettingsError
from tandem.registries.login import Account

HUB = "https://index.docker.io/v1/"  # docker's own name for Docker Hub in its configuration
PATIENCE = 30.0  # seconds that a credential helper may take


def account_of(secret: str) -> Account:
    """An account of "user:password", as an environment variable or a Prefect Secret holds it."""
    user, colon, password = secret.partition(":")
    if not colon:
        raise SettingsError("image.credentials: its value must be user:password (it is not shown here)")
    return Account(user, password)


def docker_account(host: str, environment: Mapping[str, str]) -> Account | None:
    """What docker's configuration says of this host, or None. The file is DOCKER_CONFIG's, or ~/.docker/config.json.

    Raises SettingsError where the file or a helper that it names is broken.
    """
    folder = environment.get("DOCKER_CONFIG") or f"{environment.get('HOME', '~')}/.docker"
    file = Path(folder).expanduser() / "config.json"
    try:
        config: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        names = (HUB, "docker.io") if host == "docker.io" else (host, f"https://{host}", f"http://{host}")
        for name in names:
            if helper := config.get("credHelpers", {}).get(name) or config.get("credsStore"):
                if account := _helped(str(helper), name, environment):
                    return account
            elif entry := config.get("auths", {}).get(name):
                return _written(entry)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise SettingsError(f"{file}: not docker's configuration: {type(error).__name__}: run 'docker login'") from None
    return None


def _written(entry: Mapping[str, str]) -> Account | None:
    if token := entry.get("identitytoken"):
        return Account("<token>", token)
    try:
        user, _, password = base64.b64decode(entry.get("auth", ""), validate=True).decode().partition(":")
    except binascii.Error:
        raise ValueError("auth") from None
    user, password = entry.get("username", user), entry.get("password", password)
    return Account(user, password) if user else None


def _helped(helper: str, name: str, environment: Mapping[str, str]) -> Account | None:
    """Ask docker-credential-HELPER (docker-credential-helpers, its "get"): the host by stdin, the secret by stdout."""
    if not re.fullmatch(r"[\w.-]+", helper):
        raise SettingsError(f"docker's configuration names {helper!r}, which is no credential helper's name")
    argv = [f"docker-credential-{helper}", "get"]
    try:
        said = subprocess.run(
            argv, input=name, capture_output=True, text=True, timeout=PATIENCE, env=dict(environment), check=False
        )
    except FileNotFoundError:
        raise SettingsError(f"docker's configuration names {argv[0]}, which is not installed here") from None
    except subprocess.TimeoutExpired:
        raise SettingsError(f"{argv[0]} did not answer within {PATIENCE:.0f} s: run it by hand") from None
    if said.returncode:
        return None  # the protocol's way to say: nothing is known of this host
    answer = json.loads(said.stdout)
    return Account(answer["Username"], answer["Secret"]) if answer.get("Secret") else None
