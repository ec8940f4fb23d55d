"""Approval: a person's word, kept in the environment's state. A release asks, and ends; approving starts the next."""

from tandem.records import Candidate, State
from tandem.settings import Settings

from . import cards


def missing(settings: Settings, environment: str, state: State, candidate: Candidate) -> bool:
    """Whether the environment asks for approvals and this candidate has none."""
    asked = settings.environment(environment).approval
    return asked and candidate.digest not in {approval.digest for approval in state.approvals}


def ask(settings: Settings, environment: str, candidate: Candidate, notes: str) -> str:
    """Put the question where people look, and give it back in one sentence."""
    command = f"tandem approve {settings.app} {environment} {candidate.tag}"
    form = cards.deployment_link(f"approve/{settings.app}")
    question = f"waiting for approval: {candidate.tag} may go to {environment} once '{command}' was run"
    text = f"{notes}\n\n**Approve it:** [the form of `approve/{settings.app}`]({form}), or\n\n```\n{command}\n```"
    cards.note(f"approve-{settings.app}-{environment}", f"Approve {candidate.tag} for {environment}?", text)
    return question
