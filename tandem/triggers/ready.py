"""What a process makes at its first use, made before the fork: each run has it, and none waits for it."""

from collections.abc import Iterator
from contextlib import suppress

from pydantic import BaseModel

from tandem.trust import trusted


def make_ready() -> None:
    """Build the validators that pydantic models, Prefect's above all, leave for later, and read the certificates.

    That is 0.1 s of each run. Neither is a thread, a lock or a connection, so that the process may be forked
    afterwards. What cannot be made here is for the run that needs it to say.
    """
    with suppress(OSError):  # SSL_CERT_FILE leads nowhere
        trusted()
    for model in set(_below(BaseModel)):
        if not model.__pydantic_complete__:
            with suppress(Exception):  # a library's own, which nobody may ever use
                model.model_rebuild()


def _below(kind: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for each in kind.__subclasses__():
        yield each
        yield from _below(each)
