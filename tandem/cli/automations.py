"""Prefect automations that come with Tandem: installed by `tandem up`, left alone where a person edited one.

Each carries two stamps as tags: of what Tandem asked for, and of what the server made of it. Where the second does not
fit any more, somebody has been there.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping

from tandem.triggers.api import Api, ApiError

SILENT, LATE = "Tandem: runs whose process is gone", "Tandem: a release that is late"
CRASHED = "Tandem: a release that crashed"
SILENCE, PATIENCE, FREE = 90, 600, 62  # seconds; the last: until the lock of a run that died is free
RECONCILE = "deployments/name/reconcile/every-minute"
OURS, THEIRS = "tandem-asked-", "tandem-holds-"
Document = Mapping[str, object]


def ensure(api: Api) -> Iterator[str]:
    """Create what is absent, renew what Tandem changed; what was done or left alone, a line each."""
    for wanted in _wanted(api):
        name = str(wanted["name"])
        found = api.post("automations/filter", {"automations": {"name": {"any_": [name]}}})
        there = found[0] if isinstance(found, list) and found else None
        if there is None:
            made = api.post("automations/", wanted)
            stamp(api, wanted, made if isinstance(made, Mapping) else {})
            yield f"automation {name!r}: installed"
        elif f"{OURS}{digest(wanted)}" in _tags(there):
            continue
        elif f"{THEIRS}{_content(there)}" in _tags(there):
            api.ask("PUT", f"automations/{there['id']}", wanted)
            now = api.get(f"automations/{there['id']}")
            stamp(api, wanted, now if isinstance(now, Mapping) else {})
            yield f"automation {name!r}: renewed"
        else:
            yield f"automation {name!r}: edited by a person, left as it is (delete it there to have Tandem's)"


def _wanted(api: Api) -> Iterator[Document]:
    yield _silent()
    try:
        reconcile = api.get(RECONCILE)
    except ApiError:
        return  # a prefect.yaml without it: nobody would hear
    if isinstance(reconcile, Mapping):
        yield _late(str(reconcile["id"]))
        yield _crashed(str(reconcile["id"]))


def _silent() -> Document:
    """The automation of Prefect's guide "detect zombie flows": a run silent for 90 s has crashed."""
    beat, ends = "prefect.flow-run.heartbeat", ("Completed", "Failed", "Cancelled", "Crashed")
    trigger = {
        "type": "event",
        "match": {"prefect.resource.id": ["prefect.flow-run.*"]},
        "after": [beat],
        "expect": [beat, *(f"prefect.flow-run.{end}" for end in ends)],
        "for_each": ["prefect.resource.id"],
        "posture": "Proactive",
        "threshold": 1,
        "within": SILENCE,
    }
    crashed = {
        "type": "change-flow-run-state",
        "state": "CRASHED",
        "message": f"No heartbeat for {SILENCE} s: the run's process is gone.",
    }
    what = "A killed flow sends no heartbeat: it is marked as crashed, and reconcile ends what it began."
    return {"name": SILENT, "description": what, "trigger": trigger, "actions": [crashed]}


def _late(reconcile: str) -> Document:
    """A release that Prefect calls late and that has not begun ten minutes later: reconcile says so."""
    begun = ("Pending", "Running", "Completed", "Failed", "Cancelled", "Crashed")
    trigger = {
        "type": "event",
        "match": {"prefect.resource.id": ["prefect.flow-run.*"]},
        "match_related": {"prefect.resource.role": "flow", "prefect.resource.name": "release"},
        "after": ["prefect.flow-run.Late"],
        "expect": [f"prefect.flow-run.{state}" for state in begun],
        "for_each": ["prefect.resource.id"],
        "posture": "Proactive",
        "threshold": 1,
        "within": PATIENCE,
    }
    run = {"type": "run-deployment", "source": "selected", "deployment_id": reconcile}
    what = (
        f"A scheduled release has not begun {PATIENCE // 60} minutes after its time: reconcile tells who wants to know."
    )
    return {"name": LATE, "description": what, "trigger": trigger, "actions": [run]}


def _crashed(reconcile: str) -> Document:
    """What a dead run left half done is ended as soon as its lock is free, and not at the next minute after that."""
    trigger = {
        "type": "event",
        "match": {"prefect.resource.id": ["prefect.flow-run.*"]},
        "match_related": {"prefect.resource.role": "flow", "prefect.resource.name": ["release", "rollback"]},
        "expect": ["prefect.flow-run.Crashed"],
        "for_each": ["prefect.resource.id"],
        "posture": "Reactive",
        "threshold": 1,
        "within": 0,
    }
    run = {"type": "run-deployment", "source": "selected", "deployment_id": reconcile, "schedule_after": FREE}
    what = f"Its lock is free a minute after its end: reconcile is started then, {FREE} s later."
    return {"name": CRASHED, "description": what, "trigger": trigger, "actions": [run]}


def stamp(api: Api, wanted: Document, held: Document) -> None:
    """Mark the automation that the server holds as made of `wanted`, and untouched since."""
    tags = ["tandem", f"{OURS}{digest(wanted)}", f"{THEIRS}{_content(held)}"]
    api.ask("PUT", f"automations/{held['id']}", {**wanted, "tags": tags})


def _content(held: Document) -> str:
    """The stamp of what a person can edit of it."""
    trigger = held.get("trigger")
    shown = {key: held.get(key) for key in ("name", "description", "enabled", "actions")}
    if isinstance(trigger, Mapping):  # its id is a new one with each change, whoever makes it
        shown["trigger"] = {key: value for key, value in trigger.items() if key != "id"}
    return digest(shown)


def digest(document: Document) -> str:
    """The same for the same content, in whatever order its keys stand."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:12]


def _tags(held: Document) -> list[str]:
    tags = held.get("tags")
    return [str(tag) for tag in tags] if isinstance(tags, list) else []
