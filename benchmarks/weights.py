"""Models for the benchmarks: incompressible, or shaped as fp16 weights are, or a thousand small files."""

import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy
from azure.storage.blob import ContainerClient
from servers import ACCOUNT, KEY, Server

from tandem.images.carry import named
from tandem.models import hashed, open_store
from tandem.records import Blob, Facts
from tandem.settings import ModelSettings

PIECE = 16 << 20
UNITS = {"MiB": 1 << 20, "GiB": 1 << 30}


def size_of(text: str) -> int:
    """Bytes of "256MiB", "1GiB"."""
    match = re.fullmatch(r"(\d+)(MiB|GiB)", text)
    if match is None:
        raise ValueError(f"{text!r}: write it as 256MiB or 1GiB")
    return int(match[1]) * UNITS[match[2]]


def incompressible(file: Path, size: int) -> Path:
    """A safetensors file of one tensor of random bytes, `size` bytes and a short header."""
    header = json.dumps({"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    with file.open("wb") as opened:
        opened.write(len(header).to_bytes(8, "little") + header)
        for at in range(0, size, PIECE):
            opened.write(os.urandom(min(PIECE, size - at)))
    return file


def fp16(file: Path, size: int) -> Path:
    """The same, of normally distributed half-precision numbers, as trained weights are."""
    header = json.dumps({"w": {"dtype": "F16", "shape": [size // 2], "data_offsets": [0, size]}}).encode()
    chance = numpy.random.default_rng(1)
    with file.open("wb") as opened:
        opened.write(len(header).to_bytes(8, "little") + header)
        for at in range(0, size, PIECE):
            count = min(PIECE, size - at) // 2
            opened.write((0.02 * chance.standard_normal(count, numpy.float32)).astype(numpy.float16).tobytes())
    return file


def small_files(folder: Path, count: int, size: int) -> Path:
    """So many files in a folder that together hold `size` random bytes."""
    for number in range(count):
        (folder / f"{number:05}.bin").write_bytes(os.urandom(size // count))
    return folder


def endless(size: int) -> Blob:
    """A file that is made as it is read, for sizes that need not lie on the disk twice: 16 MiB again and again."""
    block = os.urandom(PIECE)

    def read(offset: int) -> Iterator[bytes]:
        for at in range(offset, size, PIECE):
            yield (block[at % PIECE :] + block[: at % PIECE])[: size - at]

    return Blob("weights.bin", size, None, read)


def publish(azurite: Server, container: str, files: Sequence[Blob]) -> str:
    """The files as the model "bench" in a container of Azurite's; the store's URL. Logs this process in there."""
    endpoint = f"http://{azurite.address}/{ACCOUNT}"
    os.environ["AZURE_STORAGE_CONNECTION_STRING"] = f"AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={endpoint}"
    ContainerClient(endpoint, container, {"account_name": ACCOUNT, "account_key": KEY}).create_container()
    url = f"azure-blob:{endpoint}/{container}"
    wish = ModelSettings.model_validate({"store": url, "name": "bench"})
    hashes = [hashed(file) for file in files]
    open_store(wish, Path()).publish(
        "bench", hashes, Facts(layers=named(hashes, wish.path))
    )  # as `tandem publish` does
    return url
