"""`azure-blob:https://ACCOUNT.blob.core.windows.net/CONTAINER/PREFIX`: objects as block blobs.

Reads are one GET each (download.py); listing and writing are azure-storage-blob's.
"""

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.storage.blob import BlobBlock, BlobClient, BlobProperties, ContainerClient

from tandem.models.azure_login import log_in
from tandem.models.azure_place import Place, place_of
from tandem.models.azure_refusals import READER, WRITER, code_of, explained, of_response
from tandem.models.download import Granting, Wire
from tandem.models.objects import Entry, Objects
from tandem.models.parts import PART, abreast, in_parts, part_size
from tandem.models.patience import patient
from tandem.records import Versioned

T = TypeVar("T")

MOST = 50_000  # blocks of a blob ("Put Block List")
# Retries are ours (patience.py): the SDK's know no Retry-After. A block is to be sent within `connection_timeout`.
CLIENT: Mapping[str, Any] = {"retry_total": 0, "retry_connect": 0, "retry_read": 0, "retry_status": 0,
          "connection_timeout": 60, "read_timeout": 60}  # fmt: skip


@dataclass(frozen=True)
class AzureObjects:
    """Blobs below a container's prefix."""

    place: Place
    container: ContainerClient
    wire: Wire
    sleep: Callable[[float], None]

    def __str__(self) -> str:
        return str(self.place)

    def list(self, prefix: str) -> Iterator[Entry]:
        """Blobs below the prefix, page by page; the markers that stand for folders are none."""
        found = self.container.list_blobs(name_starts_with=self.place.prefix + prefix, include=["metadata"])
        pages = found.by_page()
        while (page := patient(partial(self._page, pages, prefix), self.sleep)) is not None:
            for blob in page:
                marker = blob.name.endswith("/") or (blob.metadata or {}).get("hdi_isfolder") == "true"
                if not marker:
                    path = blob.name.removeprefix(self.place.prefix)
                    yield Entry(path, blob.size, blob.last_modified, f'"{blob.etag.strip(chr(34))}"')

    def _page(self, pages: Iterator[Iterator[BlobProperties]], prefix: str) -> "Iterator[BlobProperties] | None":
        with explained(self.place, prefix, READER):
            return next(pages, None)

    def read(self, path: str, offset: int = 0, tag: str | None = None) -> Iterator[bytes]:
        """As Objects.read; `tag` is the ETag."""
        return self.wire.read(path, offset, tag)

    def write(self, path: str, pieces: Iterator[bytes], size: int) -> None:
        """In one request where it is small; else in blocks, of which those are skipped that a killed writer left.

        A block is named by its bytes: writers of the same file help each other and never mix. Azure drops blocks
        that belong to no blob after a week.
        """
        blob = self._blob(path)
        if size <= PART:
            content = b"".join(pieces)
            self._ask(path, lambda: blob.upload_blob(content, overwrite=True))
            return
        length = part_size(size, MOST)
        left = self._ask(path, lambda: _left(blob, length))

        def send(index: int, part: bytes) -> BlobBlock:
            name = f"{index:06d}-{hashlib.sha256(part).hexdigest()[:40]}"
            if name not in left:
                self._ask(path, lambda: blob.stage_block(name, part, len(part)))
            return BlobBlock(name)

        blocks = abreast(in_parts(pieces, length), send)
        self._ask(path, lambda: blob.commit_block_list(blocks))

    def get(self, path: str) -> Versioned[bytes | None]:
        """The document and its ETag."""
        return self.wire.document(path)

    def put(self, path: str, content: bytes, token: str) -> bool:
        """One PUT with If-Match, or If-None-Match where nothing may be there."""
        blob = self._blob(path)
        condition: dict[str, Any] = {"etag": token, "match_condition": MatchConditions.IfNotModified} if token else {}

        def swap() -> bool:
            try:
                blob.upload_blob(content, overwrite=bool(token), **condition)
            except HttpResponseError as error:
                if error.status_code == 412 or code_of(error) == "BlobAlreadyExists":
                    return False
                raise
            return True

        return self._ask(path, swap)

    def _blob(self, path: str) -> BlobClient:
        return self.container.get_blob_client(self.place.prefix + path)

    def _ask(self, path: str, ask: Callable[[], T]) -> T:
        def once() -> T:
            with explained(self.place, path, WRITER):
                return ask()

        return patient(once, self.sleep)


def _left(blob: BlobClient, length: int) -> set[str]:
    """The names of blocks that wait for a list: whole ones, and the last."""
    try:
        _, waiting = blob.get_block_list("uncommitted")
    except ResourceNotFoundError as error:
        if code_of(error) == "ContainerNotFound":
            raise
        return set()
    return {str(block.id) for block in waiting if block.size <= length}


def open_azure(url: str, root: Path, credential: object = None, sleep: Callable[[float], None] = time.sleep) -> Objects:
    """The container and prefix that the URL names; asks nobody yet. Raises SettingsError.

    `credential`: a connection string, a SAS or an azure TokenCredential; without one,
    AZURE_STORAGE_CONNECTION_STRING, then DefaultAzureCredential.
    """
    place = place_of(url)
    login = log_in(place, credential, os.environ)
    container = ContainerClient(place.endpoint, place.container, credential=login.credential, **CLIENT)
    wire = Wire(
        str(place),
        Granting(place.endpoint),
        place.url,
        lambda path: login.grant(),
        partial(of_response, place),
        sleep,
    )
    return AzureObjects(place, container, wire, sleep)
