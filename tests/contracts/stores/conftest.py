"""Where the contract is tried: each place a store can lie in is one fixture, and a name in `place`."""

import json
import os
import signal
import stat
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import boto3
import httpx
import pytest
from azure.storage.blob import BlobServiceClient, ContainerSasPermissions, generate_container_sas

from tandem.models import BACKENDS, open_store
from tandem.models.modified import ModifiedStore
from tandem.models.objects import Entry, Objects
from tandem.records import Blob
from tandem.seams import Store
from tandem.settings import ModelSettings

NOBODY = 65534
ACCOUNT = "devstoreaccount1"  # Azurite's, and its key, which everybody knows
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
READER = json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": "*"}]})  # fmt: skip
YEARS = 10 * 365 * 86400.0  # so that what is put there now is newer


@dataclass(frozen=True)
class Place:
    """A place of this test's own. `forbidden()`: as long as it lasts, this process may not write there;
    `remove(path)`; `age(path, seconds)`: it was last changed that long before a fixed moment. A cloud's clock cannot
    be set, so for those `dates` holds what `age` was told.
    """

    url: str
    root: Path
    forbidden: Callable[[], AbstractContextManager[None]]
    remove: Callable[[str], None]
    age: Callable[[str, float], None]
    dates: dict[str, datetime] | None = None
    morning: ClassVar[datetime] = datetime(2030, 1, 1, 6, 0, tzinfo=UTC)

    def store(self, newest: str = "published", now: Callable[[], datetime] = lambda: Place.morning) -> Store:
        """Opened afresh, as another process would."""
        settings = ModelSettings.model_validate({"store": self.url, "name": "digits", "newest": newest})
        store = open_store(settings, self.root, now)
        if isinstance(store, ModifiedStore) and self.dates is not None:
            return replace(store, objects=Dated(store.objects, self.dates))
        return store

    def objects(self) -> Objects:
        """What lies beneath it."""
        return BACKENDS[self.url.partition(":")[0]](self.url, self.root, None)

    def put(self, path: str, content: bytes) -> None:
        """An object that somebody puts there by other means than ours."""
        self.objects().write(path, iter([content] if content else []), len(content))


@dataclass(frozen=True)
class Dated:
    """Objects whose listing dates some of them otherwise."""

    objects: Objects
    dates: dict[str, datetime]

    def __str__(self) -> str:
        return str(self.objects)

    def list(self, prefix: str) -> Iterator[Entry]:
        for entry in self.objects.list(prefix):
            yield replace(entry, modified=self.dates.get(entry.path, entry.modified))

    def read(self, path: str, offset: int = 0, tag: str | None = None) -> Iterator[bytes]:
        return self.objects.read(path, offset, tag)


def in_a_cloud(url: str, root: Path, forbidden: Callable[[], AbstractContextManager[None]],
               remove: Callable[[str], object]) -> Place:  # fmt: skip
    dates: dict[str, datetime] = {}

    def age(path: str, seconds: float) -> None:
        dates[path] = Place.morning - timedelta(seconds=seconds + YEARS)

    return Place(url, root, forbidden, lambda path: void(remove(path)), age, dates)


def void(_: object) -> None:
    pass


@pytest.fixture
def folder(tmp_path: Path) -> Place:
    """`file://`, relative."""
    store = tmp_path / "store"

    @contextmanager
    def forbidden() -> Iterator[None]:
        store.mkdir(exist_ok=True)
        mode, root = stat.S_IMODE(store.stat().st_mode), os.geteuid() == 0
        store.chmod(0o500)
        if root:  # whom modes do not stop
            os.seteuid(NOBODY)
        try:
            yield
        finally:
            if root:
                os.seteuid(0)
            store.chmod(mode)

    def age(path: str, seconds: float) -> None:
        moment = Place.morning.timestamp() - seconds - YEARS
        os.utime(store / path, (moment, moment))

    return Place("file://store", tmp_path, forbidden, lambda path: (store / path).unlink(), age)


@pytest.fixture
def azure(azurite: str, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """`azure-blob:`, a container of Azurite's, with a prefix."""
    endpoint = f"http://{azurite}/{ACCOUNT}"
    owner = f"AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={endpoint}"
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", owner)
    container = BlobServiceClient(endpoint, {"account_name": ACCOUNT, "account_key": KEY}).create_container(bucket)

    @contextmanager
    def forbidden() -> Iterator[None]:
        may = ContainerSasPermissions(read=True, list=True)
        end = datetime.now(UTC) + timedelta(hours=1)
        sas = generate_container_sas(ACCOUNT, bucket, account_key=KEY, permission=may, expiry=end)
        with monkeypatch.context() as patch:
            reader = f"BlobEndpoint={endpoint};SharedAccessSignature={sas}"
            patch.setenv("AZURE_STORAGE_CONNECTION_STRING", reader)
            yield

    def remove(path: str) -> None:
        container.delete_blob(f"a/b/{path}")

    return in_a_cloud(f"azure-blob:{endpoint}/{bucket}/a/b", tmp_path, forbidden, remove)


@pytest.fixture(scope="session")
def s3_owner(s3_server: str) -> Any:
    """boto3's client of somebody who may do everything in moto's S3."""
    keys = {"aws_access_key_id": "AKIATEST", "aws_secret_access_key": "secret"}
    return boto3.client("s3", endpoint_url=f"http://{s3_server}", region_name="us-east-1", **keys)


@pytest.fixture
def s3(s3_server: str, s3_owner: Any, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """`s3://`, a bucket of moto's, with a prefix. Only as long as it is forbidden does moto look at who asks."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    endpoint = f"http://{s3_server}"
    s3_owner.create_bucket(Bucket=bucket)

    @contextmanager
    def forbidden() -> Iterator[None]:
        iam = boto3.client("iam", endpoint_url=endpoint, region_name="us-east-1")
        iam.create_user(UserName=bucket)
        iam.put_user_policy(UserName=bucket, PolicyName="reader", PolicyDocument=READER)
        key = iam.create_access_key(UserName=bucket)["AccessKey"]
        httpx.post(f"{endpoint}/moto-api/reset-auth", content=b"0", timeout=60).raise_for_status()
        try:
            with monkeypatch.context() as patch:
                patch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
                patch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
                yield
        finally:
            httpx.post(f"{endpoint}/moto-api/reset-auth", content=b"inf", timeout=60).raise_for_status()

    def remove(path: str) -> None:
        s3_owner.delete_object(Bucket=bucket, Key=f"a/b/{path}")

    return in_a_cloud(f"s3://{bucket}/a/b?endpoint={endpoint}", tmp_path, forbidden, remove)


@pytest.fixture(params=["folder", "azure", "s3"])
def place(request: pytest.FixtureRequest) -> Place:
    """A place of this test's own in which a store can lie; each backend in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def blob() -> Callable[..., Blob]:
    """blob("weights.bin", b"…") as a publisher hands it over; sha256 may be given, and may be a lie."""

    def blob(name: str, content: bytes, sha256: str | None = None) -> Blob:
        return Blob(name, len(content), sha256, lambda offset: iter([content[offset:]]))

    return blob


@pytest.fixture
def in_child() -> Callable[[Callable[[], object]], Callable[[], int]]:
    """in_child(work) begins it in a forked process; calling what comes back waits and gives its exit status.

    0: it ended; 1: it raised, and stderr says what; a negative number: the signal that killed it.
    """

    def begin(work: Callable[[], object]) -> Callable[[], int]:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                work()
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        return lambda: os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    return begin


@pytest.fixture
def die() -> Callable[[], None]:
    """Ends this process as a power cut would."""
    return lambda: os.kill(os.getpid(), signal.SIGKILL)
