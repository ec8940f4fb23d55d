"""How gunicorn serves the app: one process, threads for the container's CPUs, nothing lost when it must stop.

One process holds the weights once and knows all of /metrics. ONNX Runtime and Pillow leave the interpreter's
lock while they work, so threads use every CPU; docs/model-json.md has the figures against sync workers.
"""

import math
import mmap
import os
import tempfile
from pathlib import Path
from typing import Any

from gunicorn.errors import HaltServer


def available_cpus(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """How many CPUs this container may use: its affinity, and less where a cgroup's quota (v2, v1) is smaller."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        if (cgroup / "cpu.max").exists():
            quota, period = (cgroup / "cpu.max").read_text().split()
        else:
            quota = (cgroup / "cpu/cpu.cfs_quota_us").read_text()
            period = (cgroup / "cpu/cpu.cfs_period_us").read_text()
        if quota.strip() != "max" and int(quota) > 0:
            count = min(count, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError):
        pass  # no cgroup to ask: macOS, or a sandbox
    return max(1, count)


cpus = available_cpus()
workers = 1
worker_class = "gthread"
# One thread computes on each CPU while others wait for slow clients' bodies.
threads = int(os.environ.get("THREADS", 4 * cpus))
raw_env = [f"INFERENCE_THREADS={os.environ.get('INFERENCE_THREADS', cpus)}", "ORT_DISABLE_TELEMETRY=1"]
memory = Path("/dev") / "shm"
# The worker's heartbeat is a file: on a disk it can stall, and the root may be read-only.
worker_tmp_dir = str(memory) if os.access(memory, os.W_OK) else tempfile.gettempdir()
keepalive = 75
timeout = 60
graceful_timeout = 20
control_socket_disable = True

# A preStop hook touches this file: from then on each answer closes its connection, and clients come back elsewhere.
draining = Path(os.environ.get("DRAINING_FILE", Path("/") / "tmp" / "draining"))


def pre_request(worker: Any, request: Any) -> None:
    """gunicorn's hook before each request."""
    if draining.exists():
        request.force_close()


def pre_fork(server: Any, worker: Any) -> None:
    """gunicorn's hook before a worker is there: `worker.ended` is memory that both processes see."""
    worker.ended = mmap.mmap(-1, 1)


def worker_exit(server: Any, worker: Any) -> None:
    """gunicorn's hook in a worker that ends by itself, told to or not: one that is killed does not come here."""
    worker.ended[0] = 1


def child_exit(server: Any, worker: Any) -> None:
    """gunicorn's hook where a worker is gone: one that was killed takes everything with it.

    The kernel kills the largest process when memory runs out, and that is the worker. gunicorn would start another in
    silence; a container that ends is seen, counted and started again ever more slowly by whoever runs it.
    """
    if server.LISTENERS and not worker.ended[0]:  # no listeners: the server itself is ending
        raise HaltServer(f"worker {worker.pid} was killed, perhaps for memory", 137)
