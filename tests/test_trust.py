"""One TLS context for a process, for as long as what it was made of stays as it is."""

import os
import shutil
from pathlib import Path

import certifi
import pytest

from tandem.trust import trusted


def test_there_is_one_context_until_the_bundle_is_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = trusted()
    assert trusted() is usual
    bundle = tmp_path / "bundle.pem"
    shutil.copy(certifi.where(), bundle)
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    named = trusted()
    assert named is not usual and trusted() is named
    os.utime(bundle, (0, 0))
    assert trusted() is not named
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "absent"))
    with pytest.raises(FileNotFoundError):
        trusted()
