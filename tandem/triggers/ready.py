"""What a process makes at its first use, made before the fork: each run has it, and none waits for it."""

from collections.abc import Iterator

from pydantic import BaseModel

from tandem.trust import trusted


def make_ready() -> None:
    """Build the validators that Prefect's records leave for later, and read the certificates: 0.1 s of each run.

    Neither is a thread, a lock or a connection, so that the process may be forked afterwards.
    """
    trusted()
    for record in set(_below(BaseModel)):
        if not record.__pydantic_complete__:
            record.model_rebuild(raise_errors=False)


def _below(kind: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for each in kind.__subclasses__():
        yield each
        yield from _below(each)
