"""Approval: a person's word, kept in the environment's state. A release asks, and ends; approving starts the next."""

from tandem.records import Candidate, Question, State, Versioned
from tandem.seams import Target
from tandem.settings import Settings
from tandem.targets import permission, transitions
from tandem.targets.advance import advance

from . import cards, stages, telling


def missing(settings: Settings, environment: str, state: State, candidate: Candidate) -> bool:
    """Whether the environment asks for approvals and this candidate has none, or none that still holds."""
    return not permission.is_approved(settings.environment(environment), state, candidate, stages.now())


def ask(
    settings: Settings, environment: str, target: Target, state: Versioned[State], candidate: Candidate, notes: str
) -> str:
    """Put the question where people look, once for each candidate, and give it back in one sentence."""
    command = f"tandem approve {settings.app} {environment} {candidate.tag}"
    question = f"waiting for approval: {candidate.tag} may go to {environment} once '{command}' was run"
    if (asked := state.value.asked) and permission.is_asked(state.value, candidate):
        return f"{question} (asked on {asked.at:%Y-%m-%d %H:%M} UTC)"
    form = cards.deployment_link(f"approve/{settings.app}")
    text = f"{notes}\n\n**Approve it:** [the form of `approve/{settings.app}`]({form}), or\n\n```\n{command}\n```"
    cards.note(f"approve-{settings.app}-{environment}", f"Approve {candidate.tag} for {environment}?", text)
    asks = advance(target, state, lambda s: transitions.asked(s, Question(candidate, stages.now())))
    telling.approval_wanted(settings, environment, asks.value)
    return question
