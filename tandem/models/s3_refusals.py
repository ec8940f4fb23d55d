"""What S3's refusals mean, and what to do about each ("Error responses", "List of error codes")."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError
from botocore.exceptions import HTTPClientError as NetworkError

from tandem.errors import ModelError, TandemError, Unreachable
from tandem.models.download import Gone
from tandem.models.patience import retry_after
from tandem.models.s3_login import Bucket

READ, WRITE = "s3:GetObject", "s3:PutObject"
LOST = {"PreconditionFailed", "ConditionalRequestConflict", "412"}  # of a conditional write
PATIENCE = 10.0  # seconds that a refusal's own words are waited for
BUSY = {408, 429, 500, 502, 503, 504}
WRONG = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "RequestTimeTooSkewed",
         "AuthorizationHeaderMalformed", "TokenRefreshRequired"}  # fmt: skip


def failure(bucket: Bucket, what: str, status: int, code: str, action: str, again: str | None = None) -> TandemError:
    """The error that a refusal means; `again` is Retry-After as it came."""
    said = f"{what}: {status} {code}".rstrip()
    if status in BUSY or code in {"SlowDown", "RequestTimeout"}:
        return Unreachable(f"{said}: the store is busy or unwell: try again", retry_after(again))
    if code == "NoSuchBucket":
        command = f"aws s3api create-bucket --bucket {bucket.name}"
        return ModelError(f"{said}: no bucket {bucket.name!r}: create it ({command}), or mend the endpoint")
    if code == "NoSuchUpload":
        return Unreachable(f"{said}: the upload was given up meanwhile: try again")
    if status == 404:
        return Gone(f"{what} is gone")
    if code == "InvalidObjectState":
        return ModelError(f"{said}: it is archived (Glacier): restore it first")
    if status in {301, 307, 308} or code in {"PermanentRedirect", "AuthorizationHeaderMalformed"}:
        return ModelError(f"{said}: the bucket is in another region: set AWS_REGION, or ?region=… in [model].store")
    if code in WRONG or status == 401:
        return ModelError(f"{said}: the store does not take this key: it is wrong or has ended, or this machine's "
                          "clock is wrong")  # fmt: skip
    if status == 403:
        arn = f"arn:aws:s3:::{bucket.name}"
        return ModelError(
            f"no permission for {what} ({status} {code}): give this identity {action} on {arn}/{bucket.prefix}* and "
            f"s3:ListBucket on {arn} (without it S3 also says 403 where nothing is)"
        )
    if status == 501 or code == "NotImplemented":
        return ModelError(f"{said}: it knows no conditional writes (If-Match), which publishing needs: upgrade it")
    return ModelError(f"{said}: {'the store does not take this' if code else 'is this the address of an S3 store?'}")


def of_response(bucket: Bucket, answer: httpx.Response, what: str) -> TandemError:
    """The error for an answer that came without boto3."""
    content, end = b"", time.monotonic() + PATIENCE
    for piece in answer.iter_raw():
        content += piece
        if len(content) > 1 << 16 or time.monotonic() > end:
            break
    code = re.search(rb"<Code>(\w{1,60})</Code>", content)
    named = code[1].decode() if code else ""
    return failure(bucket, what, answer.status_code, named, READ, answer.headers.get("Retry-After"))


@contextmanager
def explained(bucket: Bucket, path: str, action: str, quiet: bool = False) -> Iterator[None]:
    """Turns boto3's errors into ours, or drops them where that is asked for."""
    what = f"{bucket}/{path}".rstrip("/")
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        if not quiet:
            raise _meant(bucket, what, action, error) from None


def _meant(bucket: Bucket, what: str, action: str, error: ClientError | BotoCoreError) -> TandemError:
    if isinstance(error, ClientError):
        about = error.response.get("ResponseMetadata", {})
        code = str(error.response.get("Error", {}).get("Code", ""))
        again = about.get("HTTPHeaders", {}).get("retry-after")
        return failure(bucket, what, about.get("HTTPStatusCode", 0), "" if code.isdigit() else code, action, again)
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return ModelError(f"{what}: no AWS identity here: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile "
                          "('aws configure', AWS_PROFILE), a role, or [model] credentials")  # fmt: skip
    if isinstance(error, NetworkError):
        return Unreachable(f"{what}: {type(error).__name__}: is the endpoint right, and the network up?")
    return ModelError(f"{what}: {type(error).__name__}: {str(error)[:300]}")
