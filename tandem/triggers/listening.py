"""Which apps listen to which sender, by which secret; read again as soon as an app.toml changes."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from urllib.parse import unquote, urlsplit

from tandem.errors import TandemError
from tandem.settings import ModelSettings, Settings
from tandem.triggers import repositories
from tandem.triggers.senders.call import Apps, Blobs, Push, Said

Stamp = tuple[int, int, int]


@dataclass(frozen=True)
class Listener:
    """An app that hears some senders. `secrets` are by sender; `repositories` as repositories.same() writes them."""

    app: str
    secrets: Mapping[str, str] = field(repr=False)
    repositories: frozenset[str]
    branch: str
    model: ModelSettings


@dataclass(frozen=True)
class Heard:
    """Those who share one secret of one sender: all that its hooks can reach."""

    listeners: Mapping[str, Listener]
    by_repository: Mapping[str, Sequence[Listener]]

    def meant(self, said: Said) -> list[str]:
        """The apps, among these, that a verified hook is about."""
        match said:
            case Push(addresses, branches):
                found = {name: None for address in addresses if (name := repositories.same(address))}
                near = (each for name in found for each in self.by_repository.get(name, ()))
                return list(dict.fromkeys(each.app for each in near if each.branch in branches))
            case Blobs(urls):
                return [
                    each.app for each in self.listeners.values() if any(_publishes(each.model, url) for url in urls)
                ]
            case Apps(names):
                return [name for name in names if name in self.listeners]
        return []


class Listening:
    """The listeners of a root; a thread of its own looks for changes each `pause` seconds, so that no hook waits."""

    def __init__(self, root: Path, environ: Mapping[str, str], log: logging.Logger, pause: float = 1.0) -> None:
        self._root, self._environ, self._log, self._pause = root, environ, log, pause
        self._stamps: dict[str, Stamp] = {}
        self._known: dict[str, Listener] = {}
        self._by_secret: Mapping[str, Mapping[str, Heard]] = {}
        self._ended = Event()
        self._look()

    def __enter__(self) -> "Listening":
        Thread(target=self._watch, name="reader", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()

    def to(self, sender: str) -> Mapping[str, Heard]:
        """Who listens to this sender now, by secret."""
        return self._by_secret.get(sender, {})

    def _watch(self) -> None:
        while not self._ended.wait(self._pause):
            self._look()

    def _look(self) -> None:
        files = (self._root / "deployments").glob("*/app.toml")
        stamps = {file.parent.name: stamp for file in files if (stamp := _stamp(file))}
        if stamps == self._stamps:
            return
        for app in [app for app in self._known if app not in stamps]:
            del self._known[app]
        for app, stamp in stamps.items():
            if stamp != self._stamps.get(app):
                self._read(app)
        self._stamps, self._by_secret = stamps, _by_secret([self._known[app] for app in sorted(self._known)])

    def _read(self, app: str) -> None:
        """One app's, as it is now; one that cannot be read is left as it was."""
        try:
            toml = Settings.load(app, self._root).toml
            secrets: dict[str, str] = {}
            for sender, place in toml.hooks.items():
                if secret := self._environ.get(place.env):
                    secrets[sender] = secret
                else:
                    self._log.warning("%s: hooks.%s: the variable %s is not set here", app, sender, place.env)
            names = repositories.of_app(toml.source.repository, self._root, self._environ) if secrets else frozenset()
            self._known[app] = Listener(app, secrets, names, toml.source.branch, toml.model)
        except Exception as trouble:  # whatever one app's file holds, the others' hooks are heard
            said = trouble if isinstance(trouble, TandemError) else repr(trouble)
            self._log.warning("%s: its hooks stay as they were: %s", app, said)


def _stamp(file: Path) -> Stamp | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _by_secret(listeners: Iterable[Listener]) -> Mapping[str, Mapping[str, Heard]]:
    groups: dict[str, dict[str, list[Listener]]] = {}
    for each in listeners:
        for sender, secret in each.secrets.items():
            groups.setdefault(sender, {}).setdefault(secret, []).append(each)
    return {sender: {secret: _heard(group) for secret, group in by.items()} for sender, by in groups.items()}


def _heard(group: Sequence[Listener]) -> Heard:
    by: dict[str, list[Listener]] = {}
    for each in group:
        for name in each.repositories:
            by.setdefault(name, []).append(each)
    return Heard({each.app: each for each in group}, by)


def _publishes(model: ModelSettings, url: str) -> bool:
    """Whether this blob's appearance may make another model the newest.

    Of a published one the pointer, which is written last; where what lies there last counts, anything there.
    """
    scheme, _, place = model.store.partition(":")
    if scheme != "azure-blob":
        return False
    folder = f"{_blob(place)}/{model.name}"
    if model.newest == "published":
        return _blob(url) == f"{folder}/latest.json"
    return _blob(url) == folder or _blob(url).startswith(f"{folder}/")


def _blob(url: str) -> str:
    """A blob's or folder's address: its account's host, and its path; "" where it is none."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").replace(".dfs.", ".blob.")  # Data Lake's door to the same blobs
    except ValueError:
        return ""
    return f"{host}{unquote(parts.path).rstrip('/')}"
