"""`s3://BUCKET/PREFIX?endpoint=…&region=…`, and boto3's client for it."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import boto3
import botocore.session
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError, NoCredentialsError
from botocore.loaders import Loader

from tandem.errors import SettingsError

FORM = "s3://BUCKET/PREFIX, for another service than Amazon's with ?endpoint=https://HOST"
NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")  # "General purpose bucket naming rules"


@dataclass(frozen=True)
class Bucket:
    """`prefix` is empty or ends with a slash; `endpoint` and `region` are None where boto3 decides. No secret.

    Its text names the host where that is not Amazon's.
    """

    name: str
    prefix: str
    endpoint: str | None
    region: str | None

    def __str__(self) -> str:
        return f"{self.endpoint.rstrip('/') if self.endpoint else 's3:/'}/{self.name}/{self.prefix}".rstrip("/")


def bucket_of(url: str) -> Bucket:
    """Reads [model].store; SettingsError where it names no bucket, or holds what does not belong there."""
    parts = urlsplit(url)
    asked = dict(parse_qsl(parts.query, keep_blank_values=True))
    endpoint = asked.pop("endpoint", None)
    region = asked.pop("region", None)
    if "@" in parts.netloc or asked or (endpoint and "@" in endpoint):
        raise SettingsError(f"[model].store: {FORM}; keys stand in the environment, never here")
    if not NAME.fullmatch(parts.netloc) or (endpoint is not None and not re.match(r"https?://[^/?#]", endpoint)):
        raise SettingsError(f"[model].store {url!r}: {FORM}")
    prefix = "".join(f"{part}/" for part in parts.path.split("/") if part)
    return Bucket(parts.netloc, prefix, endpoint, region)


@dataclass(frozen=True)
class Connection:
    """boto3's client, and the headers that sign a GET of a URL made without it ("AWS Signature Version 4")."""

    client: Any
    signature: Callable[[str], dict[str, str]] = field(repr=False)


def connect(bucket: Bucket, credential: object) -> Connection:
    """Asks nobody yet. boto3 does not retry (patience.py does), and asks for no checksums that only Amazon knows.

    AWS_ENDPOINT_URL and AWS_REGION are boto3's own; what the store's URL says goes before them.
    """
    keys: dict[str, str] = {}
    if credential is not None:
        name, colon, secret = credential.partition(":") if isinstance(credential, str) else ("", "", "")
        if not name or not colon or not secret:
            raise SettingsError("[model] credentials: for S3 it is a text ACCESS_KEY_ID:SECRET_ACCESS_KEY")
        keys = {"aws_access_key_id": name, "aws_secret_access_key": secret}
    config = Config(
        signature_version="s3v4",
        connect_timeout=60,
        read_timeout=60,
        retries={"total_max_attempts": 1},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path"} if bucket.endpoint else None,
    )
    try:
        core = botocore.session.Session()
        core.register_component("data_loader", _descriptions())
        session = boto3.session.Session(region_name=bucket.region, botocore_session=core)
        region = session.region_name or "us-east-1"
        client = session.client("s3", endpoint_url=bucket.endpoint, region_name=region, config=config, **keys)
    except (BotoCoreError, ValueError) as error:
        raise SettingsError(f"{bucket}: {error}") from None
    known = Credentials(*keys.values()) if keys else None
    return Connection(client, partial(_signature, region, lambda: known or session.get_credentials()))


def _signature(region: str, credentials: Callable[[], Credentials | None], url: str) -> dict[str, str]:
    known = credentials()
    if known is None:
        raise NoCredentialsError
    request = AWSRequest(method="GET", url=url)
    S3SigV4Auth(known.get_frozen_credentials(), "s3", region).add_auth(request)
    return dict(request.headers.items())


@cache
def _descriptions() -> Any:
    """What boto3 knows of Amazon's interfaces: megabytes of JSON, parsed once a process."""
    return Loader()
