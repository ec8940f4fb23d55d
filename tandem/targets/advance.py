"""A step of an environment's state, stored by compare-and-swap, beside others who change it too."""

from collections.abc import Callable

from tandem.errors import StateChanged
from tandem.records import State, Versioned
from tandem.seams import Target

TRIES = 5  # at a state that others change too


def advance(target: Target, state: Versioned[State], step: Callable[[State], State]) -> Versioned[State]:
    """Store the state's next value by compare-and-swap.

    Where somebody blocked or approved something meanwhile the step is taken from there; where somebody ended this
    release or began another, StateChanged: what is there now is theirs.
    """
    mine = _standing(state.value)
    for _ in range(TRIES):
        try:
            return target.record(Versioned(step(state.value), state.token))
        except StateChanged:
            state = target.state()
            if mine != _standing(state.value):
                raise
    raise StateChanged(f"{state.value.app} in {state.value.environment}: its state changes faster than it is read")


def _standing(state: State) -> tuple[str | None, str | None]:
    """Which release is under way, and which is current."""
    under_way, current = state.under_way, state.current
    return under_way.release.id if under_way else None, current.id if current else None
