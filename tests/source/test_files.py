"""Files of a folder at a commit, without a checkout."""

import pytest

from tandem.errors import SourceError
from tandem.settings import SourceSettings
from tandem.source import Repository


def test_the_files_of_a_folder_are_read_at_the_commit_that_is_asked_for(origin, open_):
    origin.write({"deploy/app/a.yaml": "one\n", "deploy/app/staging/b.yaml": "two\n", "deploy/application/c": "no"})
    (origin.folder / "deploy/app/link.yaml").symlink_to("/etc/passwd")
    (origin.folder / "deploy/app/bytes").write_bytes(b"a\0b\xff")
    old = origin.commit()
    origin.write({"deploy/app/a.yaml": "newer\n"})
    new = origin.commit()
    found = open_().files(old, "deploy/app")
    assert found == {"a.yaml": b"one\n", "staging/b.yaml": b"two\n", "bytes": b"a\0b\xff"}
    assert open_().files(new, "/deploy/app/")["a.yaml"] == b"newer\n"
    assert open_().files(new, "nowhere") == {}


def test_below_the_folder_that_the_app_lives_in(origin, tmp_path):
    origin.write({"inner/deployments/x/app.toml": "", "inner/kubernetes/a.yaml": "inner", "kubernetes/a.yaml": "outer"})
    made = origin.commit()
    repository = Repository(SourceSettings(), "x", origin.folder / "inner")
    assert repository.files(made, "kubernetes") == {"a.yaml": b"inner"}


def test_a_commit_that_is_nowhere_is_said(origin, open_):
    origin.commit()
    with pytest.raises(SourceError, match="no commit 111111111111"):
        open_().files("1" * 40, "deploy")
