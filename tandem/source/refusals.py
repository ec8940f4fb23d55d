"""What git says when it fails, sorted into what a person must do and what another try may mend."""

import re

from tandem.errors import SourceError, Unreachable
from tandem.run import Finished, without_secrets
from tandem.source.validate import Address

_DENIED = (
    r"Authentication failed|could not read (Username|Password)|terminal prompts disabled|Permission denied"
    r"|requested URL returned error: 40[13]|Host key verification failed|access denied|HTTP Basic: Access denied"
)
_ABSENT = r"does not appear to be a git repository|[Rr]epository.* not found|returned error: 404|does not exist"
_DOWN = (
    r"Could not resolve|Connection refused|timed out|Failed to connect|Couldn't connect|Connection reset"
    r"|Connection closed|Network is unreachable|No route to host|Temporary failure|returned error: (5\d\d|429)"
    r"|early EOF|RPC failed|hung up unexpectedly|transfer closed|unexpected disconnect|recv error|Operation too slow"
)


def refusal(address: Address, finished: Finished) -> SourceError | Unreachable:
    """What git's failed fetch means: worth another try, or something that a person must do."""
    words = without_secrets(" ".join(finished.output.split()))[-600:]
    where = without_secrets(address.url)
    if finished.timed_out:
        return Unreachable(f"{where}: git was not done in {finished.seconds:.0f} s; it last said: {words or 'nothing'}")
    if re.search(r"Host key verification failed", words):
        return SourceError(f"{where}: its host key is not known: add it to ~/.ssh/known_hosts (ssh-keyscan): {words}")
    if re.search(_DENIED, words):
        return SourceError(
            f"{where}: no access: name a token that may read it in source.credentials, or an ssh key: {words}"
        )
    if "dubious ownership" in words:
        return SourceError(f"{where}: it belongs to another user: git config --global --add safe.directory {where}")
    if re.search(_ABSENT, words):
        return SourceError(f"{where}: no such repository, or no access to it: check source.repository: {words}")
    if "No space left" in words:
        return SourceError(f"{where}: the disk is full: make room below .tandem/mirrors: {words}")
    if "redirect" in words:
        return SourceError(f"{where}: it has moved: write its new address in source.repository: {words}")
    if re.search(_DOWN, words):
        return Unreachable(f"{where}: not reached: {words}")
    return SourceError(f"{where}: git failed (exit code {finished.code}): {words}")
