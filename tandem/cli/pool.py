"""What a Prefect server must hold before the first run: work pool, queues, limits."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from tandem.cli.deployments import BUILDS, POOL
from tandem.settings import Settings
from tandem.triggers import runs
from tandem.triggers.api import Api, ApiError

AT_ONCE, BUILDS_AT_ONCE = 4, 2


def ensure(api: Api, everything: Iterable[Settings]) -> None:
    """Create what is absent; what a person changed since (a limit, say) stays as they set it.

    Builds have a queue of their own, with a lower priority and limit, so that they never starve the rest.
    """
    pool = {"name": POOL, "type": "process", "concurrency_limit": AT_ONCE, "description": "Tandem's flows"}
    _ensure(api, f"work_pools/{POOL}", "work_pools/", pool)
    queue = {"name": BUILDS, "priority": 2, "concurrency_limit": BUILDS_AT_ONCE, "description": "integrate"}
    _ensure(api, f"work_pools/{POOL}/queues/{BUILDS}", f"work_pools/{POOL}/queues", queue)
    for settings in everything:
        for environment in settings.toml.environments:
            ensure_lock(api, settings.app, environment)


def ensure_lock(api: Api, app: str, environment: str) -> None:
    """The lock of an environment: one release there at a time. It must exist before it is taken."""
    name = f"release-{app}-{environment}"
    _ensure(api, f"v2/concurrency_limits/{name}", "v2/concurrency_limits/", {"name": name, "limit": 1})


def _ensure(api: Api, address: str, collection: str, document: Mapping[str, object]) -> None:
    try:
        api.get(address)
    except ApiError as error:
        if error.status != 404:
            raise
        try:
            api.post(collection, document)
        except ApiError as conflict:
            if conflict.status != 409:  # somebody else, or our own repeat, created it
                raise


def worker_polls(api: Api, name: str, since: datetime) -> bool:
    """Whether the worker has been heard of since then."""
    workers = api.post(f"work_pools/{POOL}/workers/filter", {})
    return isinstance(workers, list) and any(
        worker["name"] == name and datetime.fromisoformat(worker["last_heartbeat_time"]) >= since for worker in workers
    )


@dataclass(frozen=True)
class Cut:
    """A run that was cut short: its process may still be there when its worker was killed."""

    id: str
    name: str
    pid: int | None


def end_runs(api: Api) -> list[Cut]:
    """Mark the pool's unfinished runs as crashed, when its worker is gone; which they were.

    Runs that only wait are left: the next worker takes them.
    """
    query = {
        "work_pools": {"name": {"any_": [POOL]}},
        "flow_runs": {"state": {"type": {"any_": ["RUNNING", "PENDING", "CANCELLING"]}}},
    }
    found = api.post("flow_runs/filter", query)
    cut = []
    for run in found if isinstance(found, list) else []:
        runs.crashed(str(run["id"]), "The worker was ended by 'tandem down'.", api)
        pid = str(run.get("infrastructure_pid") or "").rpartition(":")[2]
        cut.append(Cut(str(run["id"]), str(run["name"]), int(pid) if pid.isdigit() else None))
    return cut
