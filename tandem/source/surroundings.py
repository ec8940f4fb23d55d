"""Which environment variables the app's tests and their installation may see; every other one is withheld."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tandem import pip_environment
from tandem.run import Say

BASIC = ("PATH", "LANG", "TZ")


def basic(surroundings: Mapping[str, str], venv: Path) -> dict[str, str]:
    """PATH with the virtual environment first, language and time zone, and a terminal that can do nothing."""
    passed = {name: value for name, value in surroundings.items() if name in BASIC or name.startswith("LC_")}
    path = f"{venv / 'bin'}:{passed.get('PATH', '/usr/local/bin:/usr/bin:/bin')}"
    return {"LANG": "C.UTF-8", **passed, "PATH": path, "VIRTUAL_ENV": str(venv), "TERM": "dumb"}


def asked(named: Sequence[str], surroundings: Mapping[str, str], say: Say) -> dict[str, str]:
    """The variables that [test].variables names; those that are not set are said."""
    for name in named:
        if name not in surroundings:
            say(f"test.variables: {name} is not set here")
    return {name: surroundings[name] for name in named if name in surroundings}


def for_tests(
    surroundings: Mapping[str, str],
    asked: Mapping[str, str],
    venv: Path,
    scratch: Path,
    temporary: str,
    model: str | None,
) -> dict[str, str]:
    """The whole environment of a suite: the basic one, `asked` by [test].variables, and a scratch HOME.

    A git that the tests call stops looking for a repository at `scratch`, and so never finds the user's own.
    """
    own = {"HOME": str(scratch / "home"), "TMPDIR": temporary, "PYTHONUNBUFFERED": "1"}
    own |= {"GIT_CEILING_DIRECTORIES": str(scratch)}
    return {**basic(surroundings, venv), **asked, **own, **({"MODEL_DIR": model} if model else {})}


def for_pip(surroundings: Mapping[str, str], venv: Path, temporary: str, cache: Path) -> dict[str, str]:
    """pip's environment: the user's own settings for it (PIP_*, its files below HOME), proxies, certificates."""
    passed = pip_environment.passed(surroundings)
    own = {"HOME": surroundings.get("HOME", "/"), "TMPDIR": temporary, "PIP_CACHE_DIR": str(cache)}
    for name in ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_REQUIRE_VIRTUALENV", "PIP_PYTHON"):
        passed.pop(name, None)  # they would lead pip out of the virtual environment
    return {**basic(surroundings, venv), **passed, **own}


def pip_reads(surroundings: Mapping[str, str]) -> tuple[Path, ...]:
    """The files and folders that pip's settings lead to, for a sandbox to show."""
    home = Path(surroundings.get("HOME", "/"))
    config = Path(surroundings.get("XDG_CONFIG_HOME") or home / ".config")
    places = [config / "pip", home / ".pip", home / ".netrc", Path("/etc/pip.conf"), Path("/etc/xdg/pip")]
    for name in ("PIP_CONFIG_FILE", "PIP_CERT", "PIP_CLIENT_CERT", "SSL_CERT_FILE", "SSL_CERT_DIR", "NETRC"):
        places.append(Path(surroundings.get(name) or "/nowhere"))
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CONSTRAINT", "PIP_FIND_LINKS"):
        places += [Path(word.removeprefix("file://")) for word in surroundings.get(name, "").split()]
    return tuple(path for path in places if path.is_absolute() and path.exists())
