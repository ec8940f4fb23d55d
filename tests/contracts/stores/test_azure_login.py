"""Who asks Azure: which credential is taken, what is refused, and where an identity's token may go."""

import base64
import json
import subprocess
import time

import pytest
from azure.core.credentials import AccessToken
from azure.storage.blob import BlobServiceClient

from tandem.errors import ModelError, SettingsError
from tandem.models import BACKENDS
from tandem.models.azure_login import log_in
from tandem.models.azure_place import place_of

PLACE = place_of("azure-blob:https://models.blob.core.windows.net/models/digits")
KEY = base64.b64encode(b"S3CR3T" * 8).decode()


def test_the_flows_credential_goes_before_the_environments():
    environ = {"AZURE_STORAGE_CONNECTION_STRING": f"AccountName=models;AccountKey={KEY}"}
    assert "sig=fromflow" in log_in(PLACE, "sv=1&sig=fromflow", environ).grant().query
    own = log_in(PLACE, None, environ).grant().query
    assert "sr=c" in own
    assert "sp=r&" in f"{own}&"


@pytest.mark.parametrize(
    "text",
    [
        "S3CR3T", f"AccountName=other;AccountKey={KEY}", "AccountName=models;AccountKey=S3CR3T",
        "BlobEndpoint=https://other.blob.core.windows.net;SharedAccessSignature=sig=S3CR3T", "AccountName=models",
    ],
)  # fmt: skip
def test_a_text_that_opens_nothing_here_is_refused_and_not_repeated(text):
    for environ, credential in ({"AZURE_STORAGE_CONNECTION_STRING": text}, None), ({}, text):
        with pytest.raises(SettingsError) as caught:
            log_in(PLACE, credential, environ)
        assert "S3CR3T" not in str(caught.value)
        assert KEY not in str(caught.value)


class Identity:
    """An Entra identity; Azurite looks at a token's claims and not at its signature."""

    def __init__(self):
        self.asked = 0

    def get_token(self, *scopes, **_):
        self.asked += 1
        now = int(time.time())
        claims = {"aud": "https://storage.azure.com", "iss": "https://sts.windows.net/tenant/",
                  "iat": now, "nbf": now - 5, "exp": now + 3600}  # fmt: skip
        parts = ({"alg": "RS256", "typ": "JWT"}, claims, "signature")
        text = ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
        return AccessToken(text, now + 3600)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/acct/models", "https://models.example.com/acct/models/x",
                                 "https://m.blob.core.windows.net.example.com/models/x"])  # fmt: skip
def test_an_identitys_token_goes_to_azure_only(url):
    for credential in (Identity(), None):
        with pytest.raises(SettingsError, match="token goes to Azure's own hosts by https only"):
            log_in(place_of(f"azure-blob:{url}"), credential, {})


def test_what_is_no_credential_is_refused():
    with pytest.raises(SettingsError, match="a list does not open"):
        log_in(PLACE, [], {})


@pytest.fixture(scope="module")
def secure(tmp_path_factory, azurite_with):
    """Azurite over TLS, which takes tokens: (its address, the file of its certificate)."""
    folder = tmp_path_factory.mktemp("secure")
    key, certificate = folder / "key.pem", folder / "cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
                    "-keyout", key, "-out", certificate], check=True, capture_output=True)  # fmt: skip
    with azurite_with(folder, "--oauth", "basic", "--cert", certificate, "--key", key) as address:
        yield address, certificate


@pytest.fixture
def endpoint(secure, monkeypatch):
    address, certificate = secure
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    monkeypatch.delenv("AZURE_STORAGE_CONNECTION_STRING", raising=False)
    return f"https://{address}/devstoreaccount1"


def test_an_identity_publishes_and_reads_and_its_token_is_asked_for_once(endpoint, bucket, tmp_path):
    identity = Identity()
    BlobServiceClient(endpoint, identity).create_container(bucket)
    identity.asked = 0
    objects = BACKENDS["azure-blob"](f"azure-blob:{endpoint}/{bucket}/p", tmp_path, identity)
    for each in range(3):
        objects.write(f"w{each}", iter([b"weights"]), 7)
        assert b"".join(objects.read(f"w{each}", 3)) == b"ghts"
    assert identity.asked <= 2
    assert objects.put("latest.json", b"{}", "")
    assert not objects.put("latest.json", b"{}", "")


def test_a_machine_without_any_identity_is_told_how_to_get_one(endpoint, bucket, tmp_path, monkeypatch):
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "AzureCliCredential")
    monkeypatch.setenv("PATH", str(tmp_path))
    objects = BACKENDS["azure-blob"](f"azure-blob:{endpoint}/{bucket}/p", tmp_path, None)
    for ask in (lambda: objects.get("x"), lambda: list(objects.list("")), lambda: objects.put("x", b"", "")):
        with pytest.raises(ModelError, match="no Azure identity here: 'az login'"):
            ask()
