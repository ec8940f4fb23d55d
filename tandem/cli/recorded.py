"""Running a flow in this process, recorded by a Prefect server."""

import logging
import os
from importlib import import_module
from pathlib import Path
from typing import Any

from tandem.cli import environment
from tandem.errors import TandemError


def run(root: Path, module: str, /, **parameters: Any) -> Any:
    """What the flow gives back; its own errors pass unchanged. `module` holds a flow of its own name.

    Raises Unreachable at once where PREFECT_API_URL names a server that does not answer.
    """
    if environment.prepare(root):
        from tandem.triggers.api import connect

        connect(os.environ, patience=3).get("health")
    flow = getattr(import_module(module), module.rpartition(".")[2])
    _calm()
    return flow(**parameters)


def operations(root: Path) -> Any:
    """tandem.flows.ops, with Prefect told where this root's blocks are."""
    environment.prepare(root)
    return import_module("tandem.flows.ops")


def _calm() -> None:
    """Keep tracebacks of errors that are meant for a person off the terminal; Prefect's pages still have them."""
    from prefect.logging.handlers import PrefectConsoleHandler

    for handler in logging.getLogger().handlers:
        if isinstance(handler, PrefectConsoleHandler):
            handler.addFilter(_worth_showing)


def _worth_showing(record: logging.LogRecord) -> bool:
    if record.exc_info and isinstance(record.exc_info[1], TandemError):
        return False
    text = record.getMessage()
    return not text.startswith(("Finished in state Failed(", "Finished in state Completed("))
