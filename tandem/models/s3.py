"""`s3://BUCKET/PREFIX`: objects in S3, or anything that speaks it (`?endpoint=https://…&region=…`).

Reads are one GET each (download.py), signed by botocore; listing and writing are boto3's.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from botocore.exceptions import ClientError

from tandem.errors import ModelError
from tandem.models.download import Grant, Granting, Wire
from tandem.models.objects import Entry, Objects
from tandem.models.parts import PART, abreast, in_parts, part_size
from tandem.models.patience import patient
from tandem.models.s3_login import Bucket, bucket_of, connect
from tandem.models.s3_refusals import LOST, READ, WRITE, explained, of_response
from tandem.records import Versioned

T = TypeVar("T")

MOST = 10_000  # parts of an object ("Amazon S3 multipart upload limits")


@dataclass(frozen=True)
class S3Objects:
    """Objects below a bucket's prefix; `client` is boto3's."""

    bucket: Bucket
    client: Any
    wire: Wire
    sleep: Callable[[float], None]

    def __str__(self) -> str:
        return str(self.bucket)

    def list(self, prefix: str) -> Iterator[Entry]:
        """Objects below the prefix, page by page; the markers that stand for folders are none."""
        asked = {"Bucket": self.bucket.name, "Prefix": self.bucket.prefix + prefix}
        more = True
        while more:
            page = self._ask(prefix, READ, partial(self.client.list_objects_v2, **asked))
            if "IsTruncated" not in page:  # boto3 takes a web page for an empty listing
                raise ModelError(f"{self.bucket}: answered what no S3 store does: is a proxy in the way?")
            for found in page.get("Contents", ()):
                if not found["Key"].endswith("/"):
                    path = found["Key"].removeprefix(self.bucket.prefix)
                    yield Entry(path, found["Size"], found["LastModified"], found["ETag"])
            more = page["IsTruncated"]
            asked["ContinuationToken"] = page.get("NextContinuationToken", "")

    def read(self, path: str, offset: int = 0, tag: str | None = None) -> Iterator[bytes]:
        """As Objects.read; `tag` is the ETag."""
        return self.wire.read(path, offset, tag)

    def write(self, path: str, pieces: Iterator[bytes], size: int) -> None:
        """In one request where it is small, else in parts, which are given up where one fails.

        A killed writer's parts stay until the bucket's lifecycle rule removes them (docs/s3.md).
        """
        key = self._key(path)
        if size <= PART:
            content = b"".join(pieces)
            self._told(path, "ETag", lambda: self.client.put_object(**key, Body=content))
            return
        began = self._told(path, "UploadId", lambda: self.client.create_multipart_upload(**key))
        upload = {**key, "UploadId": began}

        def send(index: int, part: bytes) -> dict[str, object]:
            numbered = {**upload, "PartNumber": index + 1}
            tag = self._told(path, "ETag", lambda: self.client.upload_part(**numbered, Body=part))
            return {"PartNumber": index + 1, "ETag": tag}

        try:
            parts = abreast(in_parts(pieces, part_size(size, MOST)), send)
            whole = {"Parts": parts}
            self._told(path, "ETag", lambda: self.client.complete_multipart_upload(**upload, MultipartUpload=whole))
        except BaseException:
            with explained(self.bucket, path, WRITE, quiet=True):
                self.client.abort_multipart_upload(**upload)
            raise

    def get(self, path: str) -> Versioned[bytes | None]:
        """The document and its ETag."""
        return self.wire.document(path)

    def put(self, path: str, content: bytes, token: str) -> bool:
        """One PUT with If-Match, or If-None-Match where nothing may be there ("Conditional writes")."""
        condition = {"IfMatch": token} if token else {"IfNoneMatch": "*"}

        def swap() -> bool:
            try:
                self._named(path, "ETag", self.client.put_object(**self._key(path), Body=content, **condition))
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") in LOST:
                    return False
                raise
            return True

        return self._ask(path, WRITE, swap)

    def _key(self, path: str) -> dict[str, str]:
        return {"Bucket": self.bucket.name, "Key": self.bucket.prefix + path}

    def _told(self, path: str, name: str, ask: Callable[[], Mapping[str, str]]) -> str:
        """What S3 says under this name to one who writes."""
        return self._named(path, name, self._ask(path, WRITE, ask))

    def _named(self, path: str, name: str, answer: Mapping[str, str]) -> str:
        if name not in answer:  # boto3 takes a web page for a success
            raise ModelError(f"{self.bucket}/{path}: answered what no S3 store does: is a proxy in the way?")
        return answer[name]

    def _ask(self, path: str, action: str, ask: Callable[[], T]) -> T:
        def once() -> T:
            with explained(self.bucket, path, action):
                return ask()

        return patient(once, self.sleep)


def open_s3(url: str, root: Path, credential: object = None, sleep: Callable[[float], None] = time.sleep) -> Objects:
    """The bucket and prefix that the URL names; asks nobody yet. Raises SettingsError.

    `credential`: `ACCESS_KEY_ID:SECRET_ACCESS_KEY`; without one, whatever boto3 finds (environment, profile, role).
    """
    bucket = bucket_of(url)
    connection = connect(bucket, credential)
    client = connection.client

    def address(path: str) -> str:
        key = {"Bucket": bucket.name, "Key": bucket.prefix + path}
        with explained(bucket, path, READ):  # host and path as boto3 would ask for it; it has no other name for that
            return str(client.generate_presigned_url("get_object", Params=key)).partition("?")[0]

    def grant(path: str) -> Grant:
        with explained(bucket, path, READ):
            return Grant(connection.signature(address(path)))

    http = Granting(client.meta.endpoint_url)
    wire = Wire(str(bucket), http, address, grant, partial(of_response, bucket), sleep)
    return S3Objects(bucket, client, wire, sleep)
