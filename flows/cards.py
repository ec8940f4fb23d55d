"""What a person reads on a run's page: artifacts in Markdown, and the run's name."""

import re
from collections.abc import Iterable, Sequence

from prefect import runtime
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_UI_URL

from tandem.images.carry import ModelLayers
from tandem.records import Candidate, Commit, Descriptor, Image, Model, State
from tandem.settings import Settings
from tandem.source import SuiteReport
from tandem.targets.blame import describe
from tandem.targets.trial import Trial

from .ingredients import Ingredients


def name_run(text: str) -> None:
    """Give the flow run a name that says what it works on; the first guess stays where the server is away."""
    if run_id := runtime.flow_run.id:
        with get_client(sync_client=True) as client:
            client.update_flow_run(run_id, name=text)


def candidate(
    settings: Settings, chosen: Ingredients, image: Image, layers: ModelLayers, report: SuiteReport, trial: Trial
) -> None:
    """The candidate's card: its commit and model, its digest, what was reused and what was carried."""
    commit, model = chosen.commit, chosen.model
    subject = f"{escape(commit.subject)} — {escape(commit.author)}, {commit.time:%Y-%m-%d %H:%M}"
    card = {
        "commit": f"`{commit.id[:12]}` {subject}",
        "model": f"{escape(model.name)} `{model.version[:12]}`, {escape(metrics(model))}",
        "tag": f"`{chosen.pair.tag}`",
        "digest": f"`{image.digest}`",
        "registry": f"`{settings.toml.image.registry}`",
        "size": f"{megabytes(image.manifest.layers)} in {len(image.manifest.layers)} layers",
        "reused": f"{megabytes(layers.reused)} of the model",
        "carried": f"{megabytes(layers.carried)} of the model",
        "the app's tests": escape(f"{report.counts or 'passed'} in {report.seconds:.1f} s"),
        "the image's trial": escape(str(trial)),
    }
    lines = "\n".join(f"| {name} | {value} |" for name, value in card.items())
    _publish(f"candidate-{settings.app}", f"Candidate {chosen.pair.tag}", f"| what | |\n|---|---|\n{lines}")


def megabytes(layers: Iterable[Descriptor]) -> str:
    """How much these layers are together, for people."""
    return f"{sum(layer.size for layer in layers) / 1e6:,.2f} MB"


def metrics(model: Model | None) -> str:
    """A model's metrics in one line."""
    facts = sorted(model.facts.metrics.items()) if model else []
    return ", ".join(f"{name} {value:g}" for name, value in facts) or "no metrics"


def tests(settings: Settings, report: SuiteReport) -> None:
    """The test table: slowest and failed first."""
    cases = sorted(report.cases, key=lambda case: (case.outcome == "passed", -case.seconds))
    table = [{"test": c.name, "outcome": c.outcome, "seconds": round(c.seconds, 3), "why": c.message} for c in cases]
    counts = [{"test": report.command, "outcome": str(report.counts or "by its exit code"), "seconds": report.seconds}]
    create_table_artifact(key=key(f"tests-{settings.app}"), table=table or counts, description="The app's own tests")


def release_notes(
    settings: Settings,
    environment: str,
    state: State,
    new: Candidate,
    commits: Sequence[Commit],
    model: Model | None,
    running: Model | None,
) -> str:
    """What goes in, against what ran before: its commits and its model; the Markdown is given back."""
    before = state.current.candidate.pair if state.current else None
    lines = [f"## {settings.app} to {environment}: {new.tag}", ""]
    lines += [f"- `{commit.id[:12]}` {escape(commit.subject)} — {escape(commit.author)}" for commit in commits]
    if not commits:
        lines.append(
            "- no new commits" if before and before.commit == new.pair.commit else f"- commit {new.pair.commit[:12]}"
        )
    lines.append(f"- model `{new.pair.model[:12]}` ({escape(metrics(model))})")
    if before is not None:
        same = "the same" if before.model == new.pair.model else f"`{before.model[:12]}` ({escape(metrics(running))})"
        lines.append(f"- the model that runs now: {same}")
    lines += ["", f"Before: `{before.tag}`." if before else "Before: nothing ran here."]
    notes = "\n".join(lines)
    _publish(f"release-{settings.app}-{environment}", f"Release notes of {new.tag}", notes)
    return notes


def rolled_back(settings: Settings, environment: str, state: State, log: str) -> None:
    """What failed, what runs now, what is blocked, and the app's last lines."""
    release = state.history[0]
    blocks = "\n".join(f"- {escape(describe(b))}" for b in state.blocks if b.release == release.id)
    runs = state.current.candidate.tag if state.current else "nothing"
    nothing = "Nothing is blocked: the environment was to blame, and the next release tries again."
    text = (
        f"## {release.candidate.tag} was taken back from {environment}\n\n{escape(release.reason)}\n\n"
        f"Running now: `{runs}`.\n\n{blocks or nothing}"
        f"\n\nTo lift a block: `tandem unblock {settings.app} {environment} WHAT --why TEXT`."
    )
    if log:
        text += "\n\nThe app's last lines:\n\n```text\n" + log.replace("```", "'''") + "\n```"
    _publish(f"rolled-back-{settings.app}-{environment}", f"{release.candidate.tag} rolled back", text)


def deployment_link(name: str) -> str:
    """Where Prefect's UI has a deployment's form; the UI's front page where that deployment is not applied."""
    ui = str(PREFECT_UI_URL.value() or "").rstrip("/")
    with get_client(sync_client=True) as client:
        try:
            return f"{ui}/deployments/deployment/{client.read_deployment_by_name(name).id}/run"
        except ObjectNotFound:
            return ui


def note(name: str, title: str, text: str) -> None:
    """A page of Markdown beside the run."""
    _publish(name, title, text)


def escape(text: str) -> str:
    """Text that somebody else wrote, as Markdown that shows it and does nothing."""
    return re.sub(r"([\\`*_{}\[\]<>#|!])", r"\\\1", text).replace("\n", " ")


def key(text: str) -> str:
    """An artifact's key: lower-case letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _publish(name: str, title: str, text: str) -> None:
    create_markdown_artifact(key=key(name), markdown=text, description=title)
