"""app.toml, the whole description of an app, checked first."""

import hashlib
import json
import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from tandem.errors import SettingsError
from tandem.settings.tables import (
    NAME,
    AppSettings,
    Credentials,
    EnvironmentSettings,
    ImageSettings,
    MessageKind,
    MessagesSettings,
    ModelSettings,
    Request,
    SourceSettings,
    SuiteSettings,
    VerifySettings,
)

__all__ = [
    "NAME",
    "AppSettings",
    "Credentials",
    "EnvironmentSettings",
    "ImageSettings",
    "MessageKind",
    "MessagesSettings",
    "ModelSettings",
    "Request",
    "Settings",
    "SourceSettings",
    "SuiteSettings",
    "VerifySettings",
    "apps",
    "find_root",
]


@dataclass(frozen=True, eq=False)
class Settings:
    """An app's settings, with where they were read: `root` holds deployments/, prefect.yaml and .tandem/.

    Each reading is itself alone, so that what is opened for it can be kept for as long as it lives.
    """

    app: str
    root: Path
    toml: AppSettings

    @classmethod
    def load(cls, app: str, root: Path | None = None) -> "Settings":
        """Read and check deployments/APP/app.toml; raises SettingsError with every mistake in it."""
        root = root or find_root()
        if not re.fullmatch(NAME, app):
            raise SettingsError(f"{app!r} is no app's name: lower-case letters, digits and dashes, 40 at most")
        file = root / "deployments" / app / "app.toml"
        try:
            document = tomllib.loads(file.read_text(encoding="utf-8"))
            return cls(app, root, AppSettings.model_validate(document))
        except FileNotFoundError:
            known = ", ".join(apps(root)) or "none"
            raise SettingsError(f"no app {app!r} in {root} (apps: {known}): 'tandem init' writes {file}") from None
        except OSError as error:
            raise SettingsError(f"{file} cannot be read ({error.strerror}): it must be a file of this user's") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(f"{file}: not TOML: {error}") from None
        except ValidationError as error:
            raise SettingsError("\n".join(f"{file}: {line}" for line in _mistakes(error))) from None

    @property
    def home(self) -> Path:
        """.tandem/: everything that Tandem keeps on this machine."""
        return self.root / ".tandem"

    def environment(self, name: str) -> EnvironmentSettings:
        """[environments.NAME], or SettingsError with those there are."""
        known = ", ".join(self.toml.environments) or "none"
        if name in self.toml.environments:
            return self.toml.environments[name]
        raise SettingsError(f"app {self.app!r} has no environment {name!r} (there are: {known})")

    def recipe(self, base: str) -> str:
        """The recipe's hash (64 hex digits): what else, beside commit and model, decides the image's bytes.

        `base` is the base image's digest, or for `"none"` the interpreter's version and platform.
        """
        image = self.toml.image.model_dump(mode="json", exclude={"registry", "credentials", "secrets", "engine"})
        document = {"image": image, "path": self.toml.model.path, "base": base}
        return hashlib.sha256(json.dumps(document, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _mistakes(error: ValidationError) -> list[str]:
    """One line a mistake: the key as app.toml writes it, and what is allowed there."""
    return [
        (f"{'.'.join(str(part) for part in mistake['loc'])}: " if mistake["loc"] else "")
        + mistake["msg"].removeprefix("Value error, ")
        for mistake in error.errors()
    ]


def find_root(start: Path | None = None) -> Path:
    """The folder that holds deployments/: TANDEM_ROOT, or the nearest one upwards from here. Raises SettingsError."""
    here = (start or Path.cwd()).resolve()
    named = os.environ.get("TANDEM_ROOT")
    for folder in (Path(named).resolve(),) if named else (here, *here.parents):
        if named or (folder / "deployments").is_dir():
            if (folder / ".tandem").exists() and not (folder / ".tandem").is_dir():
                raise SettingsError(f"{folder / '.tandem'} is a file, and Tandem's folder here: move it away")
            return folder
    raise SettingsError(f"no deployments/ folder in {here} or above it: run 'tandem init' in the app's repository")


def apps(root: Path) -> list[str]:
    """The names of the apps that have an app folder, sorted."""
    return sorted(file.parent.name for file in (root / "deployments").glob("*/app.toml"))
