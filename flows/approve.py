"""approve: a person lets a candidate into an environment, and it goes there."""

from prefect import flow, get_run_logger

from tandem.errors import Refused
from tandem.records import Approval, Release
from tandem.settings import Settings
from tandem.targets import transitions
from tandem.targets.advance import advance

from . import backends, cards, ingredients, stages
from .backends import AppName, EnvironmentName
from .release import release


@flow(flow_run_name="{app} to {environment}: {candidate}", description="Let a candidate into an environment.")
def approve(
    app: AppName, environment: EnvironmentName, candidate: str = "newest", by: str = "", note: str = ""
) -> Release | None:
    """Record the approval, then release what was approved.

    Refused where the candidate is blocked there, or something newer has taken its place meanwhile.

    Args:
        app: The app folder's name.
        environment: Where to: one of app.toml's environments.
        candidate: A candidate's tag or digest, or "newest": what the rules say should run now.
        by: Who approves; nothing here verifies it.
        note: Why, for those who ask later.
    """
    settings = Settings.load(app)
    target = backends.target(settings, environment)
    state = target.state()
    wanted = ingredients.choose_candidate(settings, environment, state.value)
    chosen = (
        wanted if candidate == "newest" else ingredients.choose_candidate(settings, environment, state.value, candidate)
    )
    if chosen.candidate is None:
        raise Refused(f"nothing to approve: {chosen.why}")
    if wanted.candidate is None or wanted.candidate.digest != chosen.candidate.digest:
        instead = wanted.candidate.tag if wanted.candidate else wanted.why
        raise Refused(f"{chosen.candidate.tag} is superseded in {environment}: {instead}")
    cards.name_run(f"{app} to {environment}: {chosen.candidate.tag}")
    approval = Approval(chosen.candidate.digest, by or "unknown", verified=False, at=stages.now(), note=note)
    advance(target, state, lambda s: transitions.approved(s, approval))
    get_run_logger().info("%s approved for %s by %s (unverified)", chosen.candidate.tag, environment, approval.by)
    return release(app, environment, chosen.candidate.digest, unattended=True)  # in a freeze it waits, approved
