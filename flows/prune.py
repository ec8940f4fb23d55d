"""prune: what no environment runs, may go back to, or is about to want leaves the registry."""

from contextlib import ExitStack
from typing import Annotated

from prefect import flow, get_run_logger
from pydantic import Field

from tandem.records import State
from tandem.seams import Registry
from tandem.settings import Settings

from . import backends, cards, ingredients
from .backends import AppName
from .lock import environment_lock
from .stages import stage


def needed(state: State) -> set[str]:
    """The digests that this environment runs, is bringing in, was promised, or goes back to."""
    good = [release.candidate.digest for release in state.history if release.outcome == "released"]
    keep = set(dict.fromkeys(good[:5])) | {approval.digest for approval in state.approvals}
    if state.current:
        keep.add(state.current.candidate.digest)
    if state.under_way:
        keep.add(state.under_way.release.candidate.digest)
    return keep


@stage("choose what goes", network=True)
def unneeded(settings: Settings, registry: Registry, states: list[State], newest: int) -> dict[str, str]:
    """Tag → digest of every candidate of this app that nothing needs; others' tags are left alone."""
    order = {commit[:12]: position for position, commit in enumerate(ingredients.commits(settings))}
    mine = [tag for tag in registry.tags() if tag.count("-") == 2]
    models = {version[:12]: position for position, version in enumerate(ingredients.all_models(settings))}
    mine.sort(key=lambda tag: (order.get(tag.split("-")[0], len(order)), models.get(tag.split("-")[1], len(models))))
    keep = set().union(*(needed(state) for state in states)) if states else set()
    wanted = ingredients.wanted_tags(settings, states)
    found = {}
    for tag in (tag for tag in mine[newest:] if tag not in wanted):
        image = backends.image(registry, tag)
        if image.digest not in keep and image.manifest.annotations.get("dev.tandem.app") == settings.app:
            found[tag] = image.digest
    return found


@stage("delete", network=True)
def delete(registry: Registry, tag: str, digest: str) -> None:
    """Remove one candidate; no error where it is gone."""
    registry.delete(digest)
    get_run_logger().info("deleted %s (%s)", tag, digest)


@flow(flow_run_name="{app}", description="Delete the candidates that nothing needs any more.")
def prune(app: AppName, dry_run: bool = False, keep: Annotated[int, Field(ge=1)] = 10) -> list[str]:
    """Delete the candidates that no environment runs, may go back to, or was promised; give back their tags.

    Where one environment's state cannot be read, nothing is deleted.

    Args:
        app: The app folder's name.
        dry_run: Say what would be deleted, and delete nothing.
        keep: How many of the newest stay, whatever the environments say.
    """
    settings = Settings.load(app)
    registry = backends.registry(settings)
    with ExitStack() as locks:
        for environment in settings.toml.environments:
            locks.enter_context(environment_lock(settings, environment))
        states = [backends.target(settings, environment).state().value for environment in settings.toml.environments]
        found = unneeded(settings, registry, states, keep)
        for tag, digest in {} if dry_run else found.items():
            delete(registry, tag, digest)
    lines = "\n".join(f"- `{tag}` {digest}" for tag, digest in found.items()) or "Nothing."
    cards.note(f"prune-{app}", "Would delete" if dry_run else "Deleted", lines)
    return list(found)
