"""Who asks S3: keys of the flow's or boto3's, readers that may not write, and what is said where nobody is known."""

import pytest

from tandem.errors import ModelError, SettingsError
from tandem.models import BACKENDS
from tandem.records import Facts


def test_a_reader_reads_and_may_not_publish(s3, blob):
    model = s3.store().publish("digits", [blob("w+x=1 y%20/ä~.bin", b"weights")], Facts())
    with s3.forbidden():
        [seen] = s3.store().versions("digits")
        assert seen == model
        assert b"".join(seen.files[0].open(2)) == b"ights"
        with pytest.raises(ModelError, match=r"no permission for http://.*give this identity s3:PutObject"):
            s3.store().publish("digits", [blob("w", b"others")], Facts())


def test_a_key_of_the_flows_goes_before_the_environments(s3, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAWRONG")
    with s3.forbidden():
        wrong = BACKENDS["s3"](s3.url, s3.root, "AKIAOTHER:S3CR3T")
        with pytest.raises(ModelError, match="does not take this key") as caught:
            list(wrong.list(""))
        assert "S3CR3T" not in str(caught.value)


@pytest.mark.parametrize("text", ["S3CR3T", ":S3CR3T", "AKIA:", {"key": "S3CR3T"}])
def test_a_text_that_is_no_key_is_refused_and_not_repeated(s3, text):
    with pytest.raises(SettingsError, match="ACCESS_KEY_ID:SECRET_ACCESS_KEY") as caught:
        BACKENDS["s3"](s3.url, s3.root, text)
    assert "S3CR3T" not in str(caught.value)


def test_a_machine_without_any_identity_is_told_how_to_get_one(s3, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    objects = s3.objects()
    for ask in (lambda: objects.get("x"), lambda: list(objects.list("")), lambda: objects.put("x", b"", "")):
        with pytest.raises(ModelError, match="no AWS identity here: AWS_ACCESS_KEY_ID"):
            ask()


def test_the_endpoint_may_stand_in_the_environment(s3, monkeypatch):
    url, _, endpoint = s3.url.partition("?endpoint=")
    s3.put("w", b"weights")
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    assert b"".join(BACKENDS["s3"](url, s3.root, None).read("w")) == b"weights"
