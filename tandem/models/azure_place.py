"""`azure-blob:https://ACCOUNT.blob.core.windows.net/CONTAINER/PREFIX`: which account, container and prefix."""

import re
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from tandem.errors import SettingsError

FORM = "azure-blob:https://ACCOUNT.blob.core.windows.net/CONTAINER/PREFIX"
CONTAINER = re.compile(r"\$root|\$web|[a-z0-9](?:-?[a-z0-9]){2,62}")  # "Naming and Referencing Containers, Blobs"
CLOUDS = (".blob.core.windows.net", ".blob.core.usgovcloudapi.net", ".blob.core.chinacloudapi.cn",
          ".blob.storage.azure.net")  # fmt: skip
LOOPBACK = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True)
class Place:
    """`endpoint` without a slash at its end; `prefix` is empty or ends with one. Holds no secret."""

    endpoint: str
    account: str
    container: str
    prefix: str

    def __str__(self) -> str:
        return f"azure-blob:{self.endpoint}/{self.container}/{self.prefix}".rstrip("/")

    def url(self, path: str) -> str:
        """A blob's address."""
        return f"{self.endpoint}/{self.container}/{quote(self.prefix + path, safe='/~')}"

    @property
    def takes_tokens(self) -> bool:
        """Whether an identity's token may be sent there: only to Azure itself, and over TLS."""
        host = urlsplit(self.endpoint).hostname or ""
        return self.endpoint.startswith("https://") and (host.endswith(CLOUDS) or host in LOOPBACK)


def place_of(url: str) -> Place:
    """Reads [model].store; SettingsError where it names no container, or holds a secret."""
    parts = urlsplit(url.removeprefix("azure-blob:"))
    if parts.query or "@" in parts.netloc:
        raise SettingsError("[model].store holds a SAS or a login: put that into an environment variable, and write "
                            '[model] credentials = { env = "VARIABLE" }')  # fmt: skip
    path = [part for part in parts.path.split("/") if part]
    host = (parts.hostname or "").lower()
    account = host.partition(".")[0]
    endpoint = f"{parts.scheme}://{parts.netloc}"
    if ".blob." not in host and path:  # Azurite, IP addresses: the account is the path's first part
        account = path.pop(0)
        endpoint += f"/{account}"
    if parts.scheme not in {"http", "https"} or not account or not path or not CONTAINER.fullmatch(path[0]):
        raise SettingsError(f"[model].store {url!r}: {FORM}, or azure-blob:http://HOST:PORT/ACCOUNT/CONTAINER/PREFIX")
    return Place(endpoint, account, path[0], "".join(f"{part}/" for part in path[1:]))
