"""app.toml that cannot be read is a sentence, not a traceback."""

from pathlib import Path

import pytest

from tandem.errors import SettingsError
from tandem.settings import Settings


def test_a_folder_in_app_tomls_place_is_said(tmp_path: Path) -> None:
    (tmp_path / "deployments" / "digits" / "app.toml").mkdir(parents=True)
    with pytest.raises(SettingsError, match=r"app\.toml cannot be read"):
        Settings.load("digits", tmp_path)


def test_an_app_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    (tmp_path / "deployments").mkdir()
    with pytest.raises(SettingsError, match=r"apps: none"):
        Settings.load("digits", tmp_path)
