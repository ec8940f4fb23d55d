"""Starting, finding and ending runs of Prefect deployments."""

import itertools
import secrets
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from tandem.errors import UsageError
from tandem.triggers.api import Api, ApiError, connect

OVER = frozenset({"COMPLETED", "FAILED", "CANCELLED", "CRASHED"})
SILENCE = timedelta(seconds=95)  # heartbeats come every 30 s: three missed, and a little


@dataclass(frozen=True)
class Run:
    """A flow run as Prefect's server knows it. `state` is its type: SCHEDULED, RUNNING, COMPLETED, …

    `due` is when it was to begin, whenever it did; `since` when it came into its state; `scheduled` whether a schedule
    asked for it; `key` is the one that it was started with; `flow` its flow's name, where that was asked by.
    """

    id: str
    name: str
    state: str
    message: str
    parameters: Mapping[str, object]
    deployment: str | None
    began: datetime | None = None
    ended: datetime | None = None
    flow: str = ""
    due: datetime | None = None
    since: datetime | None = None
    scheduled: bool = False
    key: str = ""

    @property
    def over(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state in OVER


def start(deployment: str, parameters: Mapping[str, object], key: str | None = None, api: Api | None = None) -> str:
    """Ask for a run of `deployment` ("flow/name"); its id. The worker of the deployment's pool runs it.

    The same `key` gives the same run, however often and from wherever it is asked for: Prefect keeps it per
    flow. Without one, a repeat of this very request is still one run. Raises UsageError where there is no such
    deployment or its form refuses a parameter, Unreachable.
    """
    api = api or connect()
    flow, _, name = deployment.partition("/")
    body = {"parameters": dict(parameters), "idempotency_key": key or secrets.token_hex(16)}
    try:
        found = _mapping(api.get(f"deployments/name/{quote(flow, safe='')}/{quote(name, safe='')}"))
        form = _mapping(_mapping(found.get("parameter_openapi_schema") or {}).get("properties") or {})
        if unknown := ", ".join(sorted(set(parameters) - set(form))):
            raise UsageError(f"{deployment} has no parameter {unknown} (it has: {', '.join(form)})")
        run = _mapping(api.post(f"deployments/{found['id']}/create_flow_run", body))
    except ApiError as error:
        if error.status == 404:
            raise UsageError(f"no deployment {deployment!r} on this server: 'tandem up' applies prefect.yaml") from None
        if error.status in (409, 422):
            raise UsageError(f"{deployment} refuses {dict(parameters)}: {error}") from None
        raise
    return str(run["id"])


def read(run_id: str, api: Api | None = None) -> Run | None:
    """The run, or None where the server does not know it."""
    try:
        return _run(_mapping((api or connect()).get(f"flow_runs/{quote(run_id, safe='')}")))
    except ApiError as error:
        if error.status in (404, 422):
            return None
        raise


def runs(deployment: str, api: Api | None = None) -> Iterator[Run]:
    """The runs of a deployment ("flow/name") that are not over, oldest first."""
    flow, _, name = deployment.partition("/")
    query = {
        "flows": {"name": {"any_": [flow]}},
        "deployments": {"name": {"any_": [name]}},
        "flow_runs": {"state": {"type": {"not_any_": sorted(OVER)}}},
        "sort": "EXPECTED_START_TIME_ASC",
    }
    found = (api or connect()).post("flow_runs/filter", query)
    yield from (_run(_mapping(each)) for each in _list(found))


def due(deployment_id: str, after: datetime, until: datetime, api: Api | None = None) -> list[Run]:
    """The runs of a deployment that were to begin after the one time and until the other; no cancelled ones."""
    query = {
        "deployments": {"id": {"any_": [deployment_id]}},
        "flow_runs": {
            "expected_start_time": {"after_": after.isoformat(), "before_": until.isoformat()},
            "state": {"type": {"not_any_": ["CANCELLED"]}},
        },
    }
    found = (_run(_mapping(each)) for each in _list((api or connect()).post("flow_runs/filter", query)))
    return [run for run in found if run.due and after < run.due <= until]


def in_states(flow: str, states: Collection[str], api: Api | None = None) -> list[Run]:
    """The runs of a flow in these states, of a deployment or not, the newest first; a request for 200 of them."""
    return list(_found(flow, {"state": {"type": {"any_": sorted(states)}}}, api))


def keyed(flow: str, keys: Collection[str], api: Api | None = None) -> list[Run]:
    """The runs of a flow that were started with one of these keys."""
    return list(_found(flow, {"idempotency_key": {"any_": list(keys)}}, api))


def ended(flow: str, api: Api | None = None) -> list[Run]:
    """The last runs of a flow that came to an end by themselves, good or bad, the newest first; 50 at most."""
    query = {
        "flows": {"name": {"any_": [flow]}},
        "flow_runs": {"state": {"type": {"any_": ["COMPLETED", "CRASHED", "FAILED"]}}},
        "sort": "END_TIME_DESC",
        "limit": 50,
    }
    return [_run(_mapping(each)) for each in _list((api or connect()).post("flow_runs/filter", query))]


def _found(flow: str, which: Mapping[str, object], api: Api | None, page: int = 200) -> Iterator[Run]:
    api, query = api or connect(), {"flows": {"name": {"any_": [flow]}}, "flow_runs": which, "sort": "ID_DESC"}
    for offset in itertools.count(0, page):
        found = _list(api.post("flow_runs/filter", {**query, "limit": page, "offset": offset}))
        yield from (replace(_run(_mapping(each)), flow=flow) for each in found)
        if len(found) < page:
            return


def under_way(flow: str, parameters: Mapping[str, object], api: Api | None = None) -> list[Run]:
    """The runs of a flow that run now, of a deployment or not, started with (at least) these parameters."""
    api = api or connect()
    query = {"flows": {"name": {"any_": [flow]}}, "flow_runs": {"state": {"type": {"any_": ["RUNNING"]}}}}
    found = (_run(_mapping(each)) for each in _list(api.post("flow_runs/filter", query)))
    return [run for run in found if parameters.items() <= run.parameters.items() and is_alive(run.id, api)]


def is_alive(run_id: str, api: Api | None = None, now: datetime | None = None) -> bool:
    """Whether something may still come of a run.

    No where its state is terminal, the server does not know it, or it runs and its heartbeats stopped:
    a killed process leaves its run in Running. One that never sent a heartbeat is believed for as long.
    """
    api, now = api or connect(), now or datetime.now(UTC)
    run = read(run_id, api)
    if run is None or run.over:
        return False
    if run.state != "RUNNING":
        return True
    last = last_heartbeat(run_id, api) or run.began
    return last is None or now - last < SILENCE


def cancel(run_id: str, why: str = "", api: Api | None = None) -> None:
    """Ask the run to end; one that is over, or unknown, is left as it is."""
    api = api or connect()
    run = read(run_id, api)
    if run is None or run.over:
        return
    kind = "CANCELLING" if run.state in ("RUNNING", "PENDING") else "CANCELLED"
    state = {"type": kind, "name": kind.capitalize(), "message": why}
    api.post(f"flow_runs/{run_id}/set_state", {"state": state, "force": False})


def crashed(run_id: str, why: str, api: Api | None = None) -> None:
    """Say of a run whose process is gone that it crashed, so that nobody waits for it."""
    state = {"type": "CRASHED", "name": "Crashed", "message": why}
    (api or connect()).post(f"flow_runs/{run_id}/set_state", {"state": state, "force": True})


def last_heartbeat(run_id: str, api: Api | None = None) -> datetime | None:
    """When the run was heard of last; None where it never sent a heartbeat."""
    query = {
        "filter": {
            "event": {"name": ["prefect.flow-run.heartbeat"]},
            "resource": {"id": [f"prefect.flow-run.{run_id}"]},
            "order": "DESC",
        },
        "limit": 1,
    }
    events = _list(_mapping((api or connect()).post("events/filter", query)).get("events"))
    return datetime.fromisoformat(str(_mapping(events[0])["occurred"])) if events else None


def _run(document: Mapping[str, object]) -> Run:
    state = _mapping(document.get("state") or {})
    deployment = document.get("deployment_id")
    return Run(
        id=str(document["id"]),
        name=str(document.get("name") or ""),
        state=str(state.get("type") or "PENDING"),
        message=str(state.get("message") or ""),
        parameters=_mapping(document.get("parameters") or {}),
        deployment=None if deployment is None else str(deployment),
        began=_time(document.get("start_time")),
        ended=_time(document.get("end_time")),
        due=_time(document.get("expected_start_time")),
        since=_time(state.get("timestamp")),
        scheduled=document.get("auto_scheduled") is True,
        key=str(document.get("idempotency_key") or ""),
    )


def _time(value: object) -> datetime | None:
    return datetime.fromisoformat(value.replace("Z", "+00:00")) if isinstance(value, str) else None


def _mapping(value: object) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise ApiError(f"Prefect's server answered {value!r:.80} where an object was due", 200)
    return value


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise ApiError(f"Prefect's server answered {value!r:.80} where a list was due", 200)
    return value
