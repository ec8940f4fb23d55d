"""What Azure Blob's refusals mean, and what to do about each ("Blob service error codes").

Never the SDK's whole text: it may repeat the signature that was refused.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import httpx
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    DeserializationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)

from tandem.errors import ModelError, TandemError, Unreachable
from tandem.models.azure_login import no_identity
from tandem.models.azure_place import Place
from tandem.models.download import Gone
from tandem.models.patience import retry_after

READER, WRITER = "Storage Blob Data Reader", "Storage Blob Data Contributor"
NONSENSE = "answered what no blob service does: is a proxy in the way?"
BUSY = {408, 429, 500, 502, 503, 504}


def failure(place: Place, what: str, status: int, code: str, role: str, again: str | None = None) -> TandemError:
    """The error that a refusal means; `code` is x-ms-error-code, `again` Retry-After as it came."""
    said = f"{what}: {status} {code}".rstrip()
    if status in BUSY:
        return Unreachable(f"{said}: Azure is busy or unwell: try again", retry_after(again))
    if code == "ContainerNotFound" or (status == 404 and role == WRITER):
        command = f"az storage container create --account-name {place.account} --name {place.container}"
        return ModelError(f"{said}: the account has no container {place.container!r}: create it: {command}")
    if status == 404:
        return Gone(f"{what} is gone")
    if code == "BlobArchived":
        return ModelError(f"{said}: it is in the archive tier: 'az storage blob set-tier --tier Hot', hours before")
    if code in {"InvalidBlockList", "InvalidBlobOrBlock"}:
        return Unreachable(f"{said}: somebody else writes the same blob: try again")
    if code in {"AuthenticationFailed", "InvalidAuthenticationInfo"} or status == 401:
        return ModelError(f"{said}: the account does not take this login: the key or SAS is wrong or has ended, the "
                          "identity is another tenant's, or this machine's clock is wrong")  # fmt: skip
    if code == "KeyBasedAuthenticationNotPermitted":
        return ModelError(
            f"{said}: the account takes identities only: unset AZURE_STORAGE_CONNECTION_STRING, 'az login'"
        )
    if status == 403:
        return ModelError(
            f"no permission for {what} ({status} {code}): give this identity the role '{role}' on the container "
            f"{place.container!r} of {place.account} (az role assignment create; it takes some minutes), or let this "
            "machine through the account's firewall; a SAS needs "
            f"{'read and list' if role == READER else 'read, list, create and write'}"
        )
    return ModelError(f"{said}: {'is this the address of a blob service?' if not code else 'Azure does not take this'}")


def code_of(error: HttpResponseError) -> str:
    """The service's own word for what went wrong, or ""."""
    return str(_headers(error).get("x-ms-error-code") or getattr(error, "error_code", None) or "")


def _headers(error: HttpResponseError) -> Mapping[str, str]:
    return getattr(error.response, "headers", {})


def of_response(place: Place, answer: httpx.Response, what: str) -> TandemError:
    """The error for an answer that came without the SDK."""
    code = answer.headers.get("x-ms-error-code", "")
    return failure(place, what, answer.status_code, code, READER, answer.headers.get("Retry-After"))


@contextmanager
def explained(place: Place, path: str, role: str) -> Iterator[None]:
    """Turns the SDK's errors into ours, without their text."""
    what = f"{place}/{path}".rstrip("/")
    try:
        yield
    except HttpResponseError as error:
        status = (error.response and error.response.status_code) or 0
        if error.response is None and isinstance(error, ClientAuthenticationError):
            raise no_identity(what, error) from None
        if status < 400:
            raise ModelError(f"{what}: {NONSENSE}") from None
        raise failure(place, what, status, code_of(error), role, _headers(error).get("Retry-After")) from None
    except DeserializationError:
        raise ModelError(f"{what}: {NONSENSE}") from None
    except (ServiceRequestError, ServiceResponseError) as error:
        raise Unreachable(f"{what}: {_told(error)}: is the account's name right, and the network up?") from None
    except AzureError as error:
        raise Unreachable(f"{what}: {type(error).__name__}: try again") from None


def _told(error: AzureError) -> str:
    """What the network said, without addresses that may hold a SAS."""
    said = str(error.inner_exception or error)
    return type(error.inner_exception or error).__name__ if "sig=" in said or "http" in said else said[:200]
