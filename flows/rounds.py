"""What reconcile's rounds find that people should hear of: news that nobody told, a late night, trouble that lasts."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

from prefect import runtime

from tandem.records import State
from tandem.settings import Settings
from tandem.triggers.api import connect

from . import deliver, wording
from .deliver import PATIENCE, now, tell
from .telling import approval_wanted, harmless, links_to, say_released, say_rolled_back

FRESH, SETTLED = timedelta(days=1), timedelta(minutes=2)  # what is caught up on: neither old, nor being told just now
LATE = LASTING = timedelta(minutes=10)
BUDGET = timedelta(seconds=20)  # of a round, for telling of trouble
ROUNDS = 3  # this many at least, so that a server that was away for a while is no trouble of the app's


@harmless
def catch_up(settings: Settings, states: Mapping[str, State]) -> None:
    """Tell what a run recorded and was killed before telling, what a service did not take, and late nights."""
    if not settings.toml.messages.to:
        return
    for environment, state in states.items():
        release = state.history[0] if state.history and not state.under_way else None
        if release and release.ended and SETTLED < now() - release.ended < FRESH:
            (say_released if release.outcome == "released" else say_rolled_back)(settings, environment, state)
        if state.asked and SETTLED < now() - state.asked.at < FRESH:
            approval_wanted(settings, environment, state)
    if deliver.wanted(settings, "nightly late"):
        _look_for_late_nights(settings)


@harmless
def began_late(settings: Settings, environment: str) -> None:
    """Of a schedule's run that begins: whether it is long past its time."""
    due = runtime.flow_run.scheduled_start_time
    if isinstance(due, datetime) and now() - due > LATE and deliver.wanted(settings, "nightly late"):
        _say_late(settings, environment, due, begun=True)


def troubles(root: Path, said: Mapping[str, Sequence[str]]) -> None:
    """What stood in each app's way in this round, where it has for ten minutes; told again after a week.

    Where many apps are in trouble and a service is slow, the rest is told in the next rounds.
    """
    end = now() + BUDGET
    for app, sentences in said.items():
        if sentences and now() < end:
            _trouble(root, app, "\n".join(sentences))


@harmless
def _trouble(root: Path, app: str, text: str) -> None:
    settings, moment = Settings.load(app, root), now()
    if not deliver.wanted(settings, "trouble") or (since := _since(app)) is None:
        return
    week = "{}-W{}".format(*moment.isocalendar())
    message = wording.trouble(app, text, since, moment, links_to())
    tell(settings, "reconcile", f"{week} {wording.gist(text)}", message)


def _look_for_late_nights(settings: Settings) -> None:
    query = {
        "flows": {"name": {"any_": ["release"]}},
        "flow_runs": {
            "state": {"type": {"any_": ["SCHEDULED"]}},
            "expected_start_time": {"before_": (now() - LATE).isoformat()},
        },
    }
    late: dict[str, datetime] = {}
    for run in cast(list[dict[str, object]], connect(patience=PATIENCE).post("flow_runs/filter", query)):
        parameters = cast(Mapping[str, object], run.get("parameters") or {})
        if run.get("auto_scheduled") and parameters.get("app") == settings.app:
            due, environment = _time(run["expected_start_time"]), str(parameters.get("environment"))
            late[environment] = max(due, late.get(environment, due))
    for environment, due in late.items():
        _say_late(settings, environment, due, begun=False)


def _say_late(settings: Settings, environment: str, due: datetime, begun: bool) -> None:
    """Once for a night, be it that it has not begun, or that it began late."""
    message = wording.late(settings.app, environment, due, now(), begun, links_to())
    tell(settings, f"{environment}-late", f"{due:%Y-%m-%d %H:%M}", message)


def _since(app: str) -> datetime | None:
    """When the rounds began all of which ended in trouble with this app, where that lasts; else None."""
    query = {
        "flows": {"name": {"any_": ["reconcile"]}},
        "flow_runs": {
            "state": {"type": {"any_": ["COMPLETED", "FAILED"]}},
            "end_time": {"after_": (now() - 3 * LASTING).isoformat()},
        },
        "sort": "END_TIME_DESC",
    }
    since, rounds, names = None, 0, re.compile(rf"(?m)(?:^|: |\s){re.escape(app)}(?: in |: )")
    for run in cast(list[dict[str, object]], connect(patience=PATIENCE).post("flow_runs/filter", query)):
        if cast(Mapping[str, object], run.get("parameters") or {}).get("app") not in ("", app):
            continue
        state = cast(Mapping[str, object], run.get("state") or {})
        if state.get("type") != "FAILED" or not names.search(str(state.get("message"))):
            break
        since, rounds = _time(run["start_time"]), rounds + 1
    return since if since and rounds >= ROUNDS and now() - since >= LASTING else None


def _time(value: object) -> datetime:
    return datetime.fromisoformat(str(value).replace("Z", "+00:00"))
