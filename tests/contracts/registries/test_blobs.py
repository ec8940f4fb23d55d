import hashlib
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tandem.errors import DigestMismatch, ModelDamaged, NotInRegistry, RegistryError
from tandem.manifests import blob_of, digest_of
from tandem.records import Blob
from tandem.seams import Registry

CONTENT = bytes(range(256)) * 20_000  # 5 MB: several pieces
KIND = "application/octet-stream"


def test_a_blob_comes_back_as_it_was_written(registry: Registry) -> None:
    written = registry.write(blob_of(CONTENT, "weights"), KIND)
    assert (written.media_type, written.digest, written.size) == (KIND, digest_of(CONTENT), len(CONTENT))
    assert b"".join(registry.read(written.digest)) == CONTENT


@pytest.mark.parametrize("offset", [1, 1024 * 1024, len(CONTENT) - 1, len(CONTENT)])
def test_a_blob_is_read_from_any_offset(registry: Registry, offset: int) -> None:
    digest = registry.write(blob_of(CONTENT, "weights"), KIND).digest
    assert b"".join(registry.read(digest, offset)) == CONTENT[offset:]


def test_a_blob_of_unknown_hash_is_hashed_on_its_way(registry: Registry) -> None:
    assert registry.write(replace(blob_of(CONTENT, "weights"), sha256=None), KIND).digest == digest_of(CONTENT)


def test_an_empty_blob_is_a_blob(registry: Registry) -> None:
    digest = registry.write(blob_of(b"", "empty"), KIND).digest
    assert b"".join(registry.read(digest)) == b""


def test_a_blob_that_is_there_is_not_read_again(registry: Registry) -> None:
    first = registry.write(blob_of(CONTENT, "weights"), KIND)

    def never(offset: int) -> Iterator[bytes]:
        raise AssertionError(f"read from {offset}")

    again = Blob("weights", len(CONTENT), hashlib.sha256(CONTENT).hexdigest(), never)
    assert registry.write(again, KIND) == first


def test_bytes_of_another_hash_are_refused_and_not_kept(registry: Registry) -> None:
    wrong = replace(blob_of(CONTENT, "weights"), sha256="0" * 64)
    with pytest.raises(DigestMismatch, match="weights"):
        registry.write(wrong, KIND)
    for digest in (digest_of(CONTENT), f"sha256:{'0' * 64}"):
        with pytest.raises(NotInRegistry):
            list(registry.read(digest))


@pytest.mark.parametrize("size", [len(CONTENT) - 1, len(CONTENT) + 1])
def test_more_or_fewer_bytes_than_said_are_refused(registry: Registry, size: int) -> None:
    wrong = replace(blob_of(CONTENT, "weights"), size=size, sha256=None)
    with pytest.raises(DigestMismatch, match="weights"):
        registry.write(wrong, KIND)


def test_an_error_of_the_source_passes_and_leaves_nothing(registry: Registry) -> None:
    def breaks(offset: int) -> Iterator[bytes]:
        yield CONTENT[:1000]
        raise ModelDamaged("weights: changed meanwhile")

    with pytest.raises(ModelDamaged):
        registry.write(Blob("weights", len(CONTENT), None, breaks), KIND)
    with pytest.raises(NotInRegistry):
        list(registry.read(digest_of(CONTENT[:1000])))


def test_a_blob_that_is_not_there_is_named(registry: Registry) -> None:
    absent = f"sha256:{'1' * 64}"
    with pytest.raises(NotInRegistry, match=absent):
        list(registry.read(absent))


@pytest.mark.parametrize("hostile", ["sha256:../../etc/passwd", "../x", "sha256:" + "A" * 64, "md5:" + "0" * 32, ""])
def test_what_is_no_digest_is_never_looked_for(registry: Registry, hostile: str) -> None:
    with pytest.raises(RegistryError):
        list(registry.read(hostile))
