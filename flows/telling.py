"""Telling people and forges: which event becomes which message. Never fails a run, and holds it up for 10 s at most.

Everything here is called after the state is recorded; rounds.py tells what a killed run recorded and did not tell.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec, cast

from prefect import runtime
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.objects import State as PrefectState
from prefect.flows import Flow
from prefect.settings import PREFECT_UI_URL

from tandem.errors import Refused, StateChanged
from tandem.messages.sending import send_all
from tandem.records import Commit, Pair, State
from tandem.settings import MessageKind, Settings
from tandem.triggers.api import connect

from . import backends, cards, deliver, statuses, wording
from .deliver import PATIENCE, log, tell
from .ingredients import Ingredients

P = ParamSpec("P")
PATIENT = 3  # the attempt at which bad luck is told: reconcile tries again by itself


def harmless(tells: Callable[P, None]) -> Callable[P, None]:
    """Whatever goes wrong in telling is a warning in the run's log, and no more."""

    def tells_or_warns(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            tells(*args, **kwargs)
        except Exception as error:
            log().warning("%s: nobody was told: %s", tells.__name__.replace("_", " "), deliver.safe(error))

    return tells_or_warns


@contextmanager
def outcome(settings: Settings, chosen: Ingredients) -> Iterator[None]:
    """While this is open the commit's status is pending; then success, or failure, with a message to its author."""
    statuses.integrating(settings, chosen.commit.id)
    try:
        yield
    except Exception as error:
        guilty = wording.guilt(error)
        statuses.integrate_failed(settings, chosen.commit.id, guilty)
        integrate_failed(settings, chosen, error)
        raise
    except BaseException:  # somebody cancelled the run, or ends the process
        statuses.cut_short(settings, chosen.commit.id)
        raise
    statuses.integrated(settings, chosen.commit.id, chosen.pair.tag)


@harmless
def integrate_failed(settings: Settings, chosen: Ingredients, error: Exception) -> None:
    """To the team, and to the commit's author where no model came through with it; one for one commit, or one model.

    What bad luck stopped is told where it stopped reconcile's third attempt too.
    """
    if deliver.wanted(settings, "integrate failed") and (wording.guilt(error) or _attempt() == PATIENT):
        by_model = bool(wording.guilt(error)) and _is_good_with_another_model(settings, chosen.pair)
        message = wording.integrate_failed(settings.app, chosen, error, by_model, links_to())
        subject = f"model-{chosen.pair.model[:12]}" if by_model else f"commit-{chosen.pair.commit[:12]}"
        of = f"{type(error).__name__} {wording.gist(str(error))}"
        tell(settings, subject, of, message, author="" if by_model else chosen.commit.email)


@harmless
def released(settings: Settings, environment: str, state: State, address: str | None = None) -> None:
    """What runs now, and how to take it back."""
    statuses.runs(settings, environment, state.history[0].candidate)
    say_released(settings, environment, state, address)


@harmless
def rolled_back(settings: Settings, environment: str, state: State) -> None:
    """What failed, and whose fault it was."""
    statuses.failed(settings, environment, state.history[0].candidate, bool(wording.blocked(state)))
    say_rolled_back(settings, environment, state)


@harmless
def approval_wanted(settings: Settings, environment: str, state: State) -> None:
    """The question that the state says was asked, with the link to the form; once."""
    asked = state.asked
    of = f"{asked.candidate.tag} {asked.at.isoformat()}" if asked else ""
    if (
        asked
        and deliver.wanted(settings, "approval wanted")
        and deliver.is_new(settings, f"{environment}-approval", of)
    ):
        form = cards.deployment_link(f"approve/{settings.app}")
        links = ((("The form", form),) if form else ()) + links_to()
        came = about(settings, asked.candidate.pair)
        message = wording.approval_wanted(settings.app, environment, asked.candidate, came, links)
        tell(settings, f"{environment}-approval", of, message)


def release_failed(flow: Flow[Any, Any], flow_run: FlowRun, state: PrefectState[Any]) -> None:
    """A flow's hook: the release failed before it began. What began was told by `rolled_back`; refusals are answers."""
    error = state.result(raise_on_failure=False)
    if isinstance(error, Exception) and not isinstance(error, (Refused, StateChanged)):
        _not_begun(dict(flow_run.parameters), str(flow_run.id), error)


@harmless
def _not_begun(parameters: dict[str, Any], run: str, error: Exception) -> None:
    settings, environment = Settings.load(parameters["app"]), str(parameters["environment"])
    if parameters.get("dry_run") or not deliver.wanted(settings, "release failed"):
        return
    found: list[State] = []
    send_all({"state": lambda: found.append(backends.target(settings, environment).state().value)}, limit=5.0)
    if not found or not _knows(found[0], run):
        message = wording.not_begun(settings.app, environment, error, links_to(run))
        of = f"{type(error).__name__} {wording.gist(str(error))}"
        tell(settings, f"{environment}-trouble", of, message, run)


def _knows(state: State, run: str) -> bool:
    """Whether this run's release began: then `rolled_back` told it, or whoever ends it does."""
    began = [*state.history[:3], *([state.under_way.release] if state.under_way else [])]
    return any(release.run == run for release in began)


def say_released(settings: Settings, environment: str, state: State, address: str | None = None) -> None:
    """The message without the status: for who comes later."""
    release = state.history[0]
    if deliver.wanted(settings, "released") and deliver.is_new(settings, environment, release.id):
        came_in, links = about(settings, release.candidate.pair), links_to(release.run)
        tell(settings, environment, release.id, wording.released(state, address, came_in, links))


def say_rolled_back(settings: Settings, environment: str, state: State) -> None:
    """The message without the status. What is nobody's fault repeats itself every night, and is told once."""
    release = state.history[0]
    blames = bool(wording.blocked(state))
    of = release.id if blames else f"{release.candidate.tag} {wording.gist(release.reason)}"
    kind: MessageKind = "rolled back" if blames else "release failed"
    if deliver.wanted(settings, kind) and deliver.is_new(settings, environment, of):
        came_in = about(settings, release.candidate.pair)
        tell(settings, environment, of, wording.failed(state, came_in, links_to(release.run)), release.run)


def _is_good_with_another_model(settings: Settings, pair: Pair) -> bool:
    """Whether this commit has a candidate: then it is the new model that does not come through with it."""
    tags: list[str] = []
    send_all({"tags": lambda: tags.extend(backends.registry(settings).tags())}, limit=5.0)
    return any(tag.startswith(f"{pair.commit[:12]}-") and tag.endswith(f"-{pair.recipe[:8]}") for tag in tags)


def about(settings: Settings, pair: Pair) -> str:
    """The commit's subject and author, and the model; less where git does not answer at once."""
    found: list[Commit] = []
    send_all({"about": lambda: found.append(backends.repository(settings).commit(pair.commit))}, limit=5.0)
    commit = f"{found[0].subject} — {found[0].author} ({pair.commit[:12]})" if found else f"commit {pair.commit[:12]}"
    return f"{commit}, with model {pair.model[:12]}"


def links_to(run: str = "") -> wording.Links:
    """The link to a run's page; none where no Prefect UI is known that lives on."""
    ui, run = str(PREFECT_UI_URL.value() or "").rstrip("/"), run or str(runtime.flow_run.id or "")
    return (("The run", f"{ui}/runs/flow-run/{run}"),) if ui and run else ()


def _attempt() -> int:
    """Which of reconcile's attempts at a pair this run is; 0 where somebody else started it."""
    if not (run := runtime.flow_run.id):
        return 0
    found = cast(dict[str, object], connect(patience=PATIENCE).get(f"flow_runs/{run}"))
    key, _, attempt = str(found.get("idempotency_key") or "").rpartition(":")
    return int(attempt) if key.startswith("integrate/") and attempt.isdigit() else 0
