"""Whether a candidate may begin now, beyond the rules that choose it: approvals and freezes; pure."""

from datetime import datetime, timedelta

from tandem.records import Candidate, State
from tandem.settings import EnvironmentSettings
from tandem.targets.freeze import Frozen, frozen


def is_approved(wish: EnvironmentSettings, state: State, candidate: Candidate, now: datetime) -> bool:
    """Whether the environment asks for no approval, or somebody gave one for this candidate that still holds."""
    holds = timedelta(seconds=wish.approval_expires)
    return not wish.approval or any(
        approval.digest == candidate.digest and now < approval.at + holds for approval in state.approvals
    )


def is_asked(state: State, candidate: Candidate) -> bool:
    """Whether people were asked about this candidate already, and have not answered."""
    return state.asked is not None and state.asked.candidate.digest == candidate.digest


def freeze(wish: EnvironmentSettings, now: datetime) -> Frozen | None:
    """The environment's freeze that holds now, or None."""
    return frozen(wish.freeze, wish.timezone, now)


def waits(wish: EnvironmentSettings, state: State, candidate: Candidate, now: datetime) -> str:
    """Why a release of this candidate that nobody asks for by hand would not begin; "" where it would, or would ask.

    What follows newer candidates asks this first: an environment where nothing can come of it is left alone.
    """
    if holding := freeze(wish, now):
        return f"{candidate.tag} waits: {state.environment} is {holding}"
    if not is_approved(wish, state, candidate, now) and is_asked(state, candidate):
        return f"{candidate.tag} waits for the approval that was asked for"
    return ""
