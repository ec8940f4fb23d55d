"""The flow of hint_to_run.py: imports what reconcile imports, and its first line is what is waited for."""

import os
from pathlib import Path

from prefect import flow, get_run_logger

import tandem.flows.reconcile  # noqa: F401


@flow
def hinted() -> None:
    """Say that it has begun, and what memory this process has to itself."""
    get_run_logger().info("first line")
    rollup = Path("/proc/self/smaps_rollup").read_text().splitlines()
    private = sum(int(line.split()[1]) for line in rollup if line.startswith("Private_"))
    get_run_logger().info("private %d kB in %d", private, os.getpid())
