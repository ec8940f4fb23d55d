"""A blob on its way into a registry: in one request where the registry and what stands before it allow, in chunks
where they do not, and on from where it was cut where the registry kept that."""

from collections.abc import Sequence

import httpx

from tandem.errors import DigestMismatch, NotInRegistry, RegistryError, Unreachable
from tandem.manifests import digest_of
from tandem.records import Blob
from tandem.registries.answers import NotLoggedIn, OutOfStep, TooLarge
from tandem.registries.hashing import Hashing, Known
from tandem.registries.reading import Reading, check
from tandem.registries.sessions import OCTETS, PUSH, begin, finish, forget, look
from tandem.registries.wire import LONGEST, Wire

MB = 1024 * 1024
SMALL = MB  # bytes up to which a blob is held, and goes in one request with its digest
LADDER: tuple[int | None, ...] = (None, 64 * MB, 8 * MB, MB)  # None: whole; 1 MiB: what nginx takes as it comes
MENDED = (Unreachable, NotInRegistry, OutOfStep, NotLoggedIn)  # by asking how far it came, and going on
STANDSTILLS = 4  # failures in a row without a byte of progress


class Uploads:
    """Uploads to one repository; remembers how large a request may be there."""

    def __init__(self, wire: Wire) -> None:
        self.wire, self.rung = wire, 0

    def send(self, blob: Blob, digest: str | None, sources: Sequence[str]) -> str:
        """The blob's digest, once the registry has it; mounted from a repository of `sources` if one has it.

        Raises DigestMismatch, RegistryError, Unreachable, and what reading the blob raises.
        """
        location = None
        for source in sources if digest else ():
            if location:
                forget(self.wire, location)
            if (location := begin(self.wire, blob.name, digest, source)) is None:
                return str(digest)
        try:
            if blob.size <= SMALL:
                return self._send_small(blob, digest, location)
            with Known(digest.removeprefix("sha256:")) if digest else Hashing() as hashing:
                return _Upload(self, blob, hashing, location).run(digest)
        except DigestMismatch as error:
            if str(error).startswith(str(self.wire)):
                raise
            raise DigestMismatch(f"{self.wire}: {error}: damaged or changed on its way") from None

    def _send_small(self, blob: Blob, digest: str | None, location: httpx.URL | None) -> str:
        """A mount from the repository itself asks and begins in one: two requests, or one where the blob is there."""
        own = self.wire.repository
        if digest and not location and (location := begin(self.wire, blob.name, digest, own)) is None:
            return digest
        try:
            content = b"".join(blob.open(0))
            check(blob, len(content), found := digest_of(content), digest)
        except BaseException:
            if location:
                forget(self.wire, location)
            raise
        location = location or begin(self.wire, blob.name, found, own)
        if location:
            finish(self.wire, blob.name, location, found, content)
        return found


class _Upload:
    """One large blob: `stored` bytes of it are in the registry, at `location`."""

    def __init__(self, uploads: Uploads, blob: Blob, hashing: Hashing, location: httpx.URL | None) -> None:
        self.uploads, self.wire, self.blob = uploads, uploads.wire, blob
        self.hashing, self.reading = hashing, Reading(blob, hashing)
        self.location, self.stored = location or self._new(), 0

    def run(self, digest: str | None) -> str:
        standstills, furthest = 0, 0
        try:
            while self.stored < self.blob.size:
                rung = self.uploads.rung
                try:
                    self._send_next(LADDER[rung])
                except TooLarge:
                    if rung + 1 == len(LADDER):
                        raise
                    self.uploads.rung = max(self.uploads.rung, rung + 1)  # for whoever uploads here from now on
                    self._find_again()
                except MENDED as error:
                    standstills += 1
                    waits = getattr(error, "retry_after", None) or 0.25 * 2**standstills
                    if standstills == STANDSTILLS or waits > LONGEST:
                        raise
                    self.wire.sleep(waits)
                    self._find_again()
                if self.stored > furthest:
                    standstills, furthest = 0, self.stored
            found = f"sha256:{self.hashing.hexdigest()}"
            check(self.blob, self.hashing.passed, found, digest)
            finish(self.wire, self.blob.name, self.location, found)
        except BaseException:
            forget(self.wire, self.location)
            raise
        return found

    def _send_next(self, longest: int | None) -> None:
        offset = self.stored
        length = min(longest or self.blob.size, self.blob.size - offset)
        headers = {**OCTETS, "Content-Length": str(length)}
        if length < self.blob.size:
            headers["Content-Range"] = f"{offset}-{offset + length - 1}"
        doing = f"pushing {self.blob.name} from byte {offset}"
        content = self.reading.take(offset, length)
        with self.wire.ask("PATCH", self.location, doing, ok=(201, 202, 204), actions=PUSH, headers=headers,
                           content=content) as answer:  # fmt: skip
            self.location, self.stored = self.wire.location(answer), offset + length

    def _find_again(self) -> None:
        """On from what the registry has; from the start where it forgot, or kept what cannot be gone on with."""
        try:
            self.location, self.stored = look(self.wire, self.blob.name, self.location)
        except RegistryError:
            self.location, self.stored = self._new(), 0
        if self.stored > self.hashing.passed:
            forget(self.wire, self.location)
            self.location, self.stored = self._new(), 0

    def _new(self) -> httpx.URL:
        location = begin(self.wire, self.blob.name)
        if location is None:
            raise RegistryError(f"{self.wire}: pushing {self.blob.name}: mounted what nobody asked for")
        return location
