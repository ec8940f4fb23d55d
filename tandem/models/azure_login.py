"""Who asks Azure Blob: a credential of the flow's, AZURE_STORAGE_CONNECTION_STRING, or the identity at hand."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Lock

from azure.core.credentials import AccessToken, AzureNamedKeyCredential, AzureSasCredential, TokenCredential
from azure.core.exceptions import AzureError, ClientAuthenticationError
from azure.storage.blob import ContainerSasPermissions, generate_container_sas

from tandem.errors import ModelError, SettingsError, Unreachable
from tandem.models.azure_place import Place
from tandem.models.download import Grant

SCOPE = "https://storage.azure.com/.default"
VERSION = "2023-11-03"  # of the service, for reads with a token
VARIABLE = "AZURE_STORAGE_CONNECTION_STRING"
LIFE = timedelta(hours=1)  # of a SAS made here, which reads one container
EARLY = 120.0  # seconds before its end that a login is made anew

Known = AzureNamedKeyCredential | AzureSasCredential | TokenCredential


@dataclass(frozen=True)
class Login:
    """A credential as the SDK takes it, and a grant for each request made without the SDK."""

    credential: Known = field(repr=False)
    grant: Callable[[], Grant] = field(repr=False)


def log_in(place: Place, credential: object, environ: Mapping[str, str]) -> Login:
    """`credential`: a connection string, a SAS, a TokenCredential, or None: then what this machine has.

    Asks nobody yet. Raises SettingsError where it is none of these, or belongs to another account.
    """
    if credential is None and environ.get(VARIABLE):
        return _by_text(place, environ[VARIABLE], VARIABLE)
    if isinstance(credential, str):
        return _by_text(place, credential, "[model] credentials")
    if credential is not None and not isinstance(credential, TokenCredential):
        raise SettingsError(f"[model] credentials: a {type(credential).__name__} does not open {place}")
    if not place.takes_tokens:
        raise SettingsError(
            f"{place}: an identity's token goes to Azure's own hosts by https only: set {VARIABLE} for another one"
        )
    if credential is None:
        from azure.identity import DefaultAzureCredential

        credential = DefaultAzureCredential()
    return Login(credential, _Tokens(place, credential).grant)


def _by_text(place: Place, text: str, where: str) -> Login:
    if "=" in text and "sig=" in text and "AccountName=" not in text and "Endpoint=" not in text:
        return _by_sas(text.strip().lstrip("?"))
    pairs = (part.partition("=") for part in text.strip().split(";") if part.strip())
    fields = {key.strip().lower(): value.strip() for key, _, value in pairs}
    endpoint = fields.get("blobendpoint", "").rstrip("/")
    account = fields.get("accountname", "")
    if (endpoint and endpoint != place.endpoint) or (not endpoint and account and account != place.account):
        raise SettingsError(f"{where} is for {endpoint or account}, and the model's store is {place}: give that one's")
    if "sharedaccesssignature" in fields:
        return _by_sas(fields["sharedaccesssignature"].lstrip("?"))
    if account and fields.get("accountkey"):
        return _by_key(place, account, fields["accountkey"], where)
    raise SettingsError(
        f"{where}: neither a connection string (AccountName=…;AccountKey=…, or BlobEndpoint=…;SharedAccessSignature=…) "
        "nor a SAS (sv=…&sig=…)"
    )


def _by_sas(token: str) -> Login:
    return Login(AzureSasCredential(token), lambda: Grant(query=token))


def _by_key(place: Place, account: str, key: str, where: str) -> Login:
    def made() -> tuple[Grant, float]:
        until = datetime.now(UTC) + LIFE
        may = ContainerSasPermissions(read=True)
        query = generate_container_sas(account, place.container, account_key=key, permission=may, expiry=until)
        return Grant(query=query), until.timestamp()

    try:
        made()
    except Exception:  # binascii's, wrapped by the SDK; its text is not shown, since it may hold the key
        raise SettingsError(f"{where}: the AccountKey is no key: copy it again") from None
    return Login(AzureNamedKeyCredential(account, key), _Lasting(made).get)


class _Lasting:
    """A grant made once and again when it nears its end; for several threads."""

    def __init__(self, made: Callable[[], tuple[Grant, float]]) -> None:
        self._made, self._lock = made, Lock()
        self._grant, self._until = Grant(), 0.0

    def get(self) -> Grant:
        with self._lock:
            if time.time() > self._until - EARLY:
                self._grant, self._until = self._made()
            return self._grant


class _Tokens:
    """An identity's tokens, asked for when needed: some identities (az) take a second for each."""

    def __init__(self, place: Place, credential: TokenCredential) -> None:
        self._place, self._credential = place, credential
        self.grant = _Lasting(self._made).get

    def _made(self) -> tuple[Grant, float]:
        try:
            token: AccessToken = self._credential.get_token(SCOPE)
        except ClientAuthenticationError as error:
            raise no_identity(str(self._place), error) from None
        except AzureError as error:
            raise Unreachable(f"{self._place}: asking for a token: {error.message.splitlines()[0]}") from None
        return Grant({"Authorization": f"Bearer {token.token}", "x-ms-version": VERSION}), float(token.expires_on)


def no_identity(what: str, error: AzureError) -> ModelError:
    """Nobody here is known to Azure; the SDK's first line says what was tried."""
    said = next((line for line in str(error.message).splitlines() if line.strip()), "")
    return ModelError(f"{what}: no Azure identity here: 'az login', a workload or managed identity, or {VARIABLE}; "
                      f"Azure says: {said[:300]}")  # fmt: skip
